"""Near-duplicates: found by fingerprint, confirmed by alignment."""
