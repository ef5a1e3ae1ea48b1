"""Models with a likelihood or a code: one paper a file, and what they share."""
