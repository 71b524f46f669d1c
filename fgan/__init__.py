"""f-GAN: a GAN from every divergence (article 6016)."""
