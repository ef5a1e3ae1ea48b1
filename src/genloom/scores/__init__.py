"""Pieces of music: what one is, and how it is read from and written to files."""
