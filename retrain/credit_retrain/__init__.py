"""Trains the models that creditstream serves."""
