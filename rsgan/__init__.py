"""Relativistic GANs and what they are compared with (article 6110)."""
