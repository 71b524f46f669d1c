"""Metrics of generated samples: distances to the data, features to measure them in, and counts of modes."""
