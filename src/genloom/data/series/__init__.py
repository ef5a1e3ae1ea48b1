"""Records of a plant: rows in the order of time, of one run or of many."""
