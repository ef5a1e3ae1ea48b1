"""Pictures with tags, and vectors of words."""
