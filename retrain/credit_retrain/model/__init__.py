"""The pipeline, its search for parameters, and training."""
