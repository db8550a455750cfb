"""What is to be known of a folder before anybody trains on it."""
