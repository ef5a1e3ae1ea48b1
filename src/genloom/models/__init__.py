"""One paper a file. No model imports another."""
