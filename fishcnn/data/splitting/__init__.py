"""Which images train and which are held out."""
