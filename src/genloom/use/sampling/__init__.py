"""Drawing samples."""
