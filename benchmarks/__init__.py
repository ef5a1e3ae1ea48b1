"""Scripts that measure what the README and the docs claim; each writes a file under docs/evidence."""
