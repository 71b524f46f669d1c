"""Train and evaluate flows on images and in the plane."""
