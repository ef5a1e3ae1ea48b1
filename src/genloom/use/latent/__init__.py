"""Codes: walks, axes, what they are worth."""
