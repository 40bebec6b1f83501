"""The scanner: finds what is wrong in training inputs before the training does."""
