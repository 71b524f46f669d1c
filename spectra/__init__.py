"""Article 5505: a 1-D convolutional classifier of spectra."""
