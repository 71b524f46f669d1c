"""The second line of a couplet by convolution and tagging (article 6270)."""
