"""Models that turn pictures into others."""
