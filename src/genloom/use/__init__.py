"""What is done with a trained model, by what it serves."""
