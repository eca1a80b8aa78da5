"""MLflow, the champion, and releasing."""
