"""Tables: reading, writing, what their columns are, and the data set."""
