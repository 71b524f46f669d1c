"""O-GAN: a discriminator that is also an encoder (article 6409)."""
