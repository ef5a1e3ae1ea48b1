"""Pieces of music from a person's files."""
