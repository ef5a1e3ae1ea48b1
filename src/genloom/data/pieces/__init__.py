"""Pictures that keep their own sizes, of which pieces are cut while a model learns."""
