"""Pairs of pictures and two domains of them: where a person has them, and the data set."""
