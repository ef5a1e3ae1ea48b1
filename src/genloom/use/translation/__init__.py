"""Using models that turn pictures into others."""
