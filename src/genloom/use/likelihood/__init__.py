"""What a likelihood is good for."""
