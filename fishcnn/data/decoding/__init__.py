"""From an image file to a square array, once."""
