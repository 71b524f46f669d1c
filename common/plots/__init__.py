"""Draw arrays into PNG and GIF files."""
