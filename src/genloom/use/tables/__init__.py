"""Repair of tables."""
