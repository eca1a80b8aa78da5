"""What a model is worth: figures, fairness, comparisons, gates."""
