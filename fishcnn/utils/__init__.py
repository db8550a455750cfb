"""What every part may use: errors, text, versions."""
