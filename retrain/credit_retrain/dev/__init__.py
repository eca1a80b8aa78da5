"""Fixtures that tests of both halves are run on."""
