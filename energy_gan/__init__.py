"""GANs as energy models (articles 6316 and 6331)."""
