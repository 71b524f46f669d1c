"""Images, points and text in, batches out."""
