"""Arrays in, PNG and GIF out."""
