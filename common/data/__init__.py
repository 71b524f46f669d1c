"""Load images, 2-D points and toy faces, and serve them as batches."""
