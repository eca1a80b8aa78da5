"""Rows to train on: read, checked against the contract, split and prepared."""
