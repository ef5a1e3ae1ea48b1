"""Pictures: where a person has them, decoding, and the data set."""
