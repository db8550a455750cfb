"""Networks that other people have trained: their weights, their heads, and what stays as it is."""
