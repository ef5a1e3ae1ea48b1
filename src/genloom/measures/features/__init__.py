"""Features: what turns examples into the vectors that distances are taken between."""
