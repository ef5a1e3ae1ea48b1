"""Models of the implicit family: one paper a file."""
