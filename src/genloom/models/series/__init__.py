"""Generators of windows of a record."""
