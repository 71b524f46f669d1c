"""GAN (2014), DCGAN (2016) and Improved Techniques for Training GANs (2016)."""
