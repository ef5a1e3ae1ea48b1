"""Models of pieces of music."""
