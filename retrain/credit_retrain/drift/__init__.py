"""The daily drift check."""
