"""Judging runs."""
