"""Layers and networks that several articles use."""
