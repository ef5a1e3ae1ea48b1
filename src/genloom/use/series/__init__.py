"""What is done with records of a plant."""
