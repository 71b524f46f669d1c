"""GLANN, its parts IMLE and GLO, and a VAE to compare with (article 6394)."""
