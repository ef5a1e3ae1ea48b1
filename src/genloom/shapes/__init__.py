"""What one example is, and how it becomes a person's file: one file a kind."""
