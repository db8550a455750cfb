"""A trained network in files that other programs can read, and the model card beside them."""
