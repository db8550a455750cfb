"""What the folders around the images mean: classes, a split, masks."""
