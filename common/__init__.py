"""What at least two articles use; the map of its rooms is in the README."""
