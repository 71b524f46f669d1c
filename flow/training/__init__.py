"""Runs of flows on images and in the plane."""
