"""Invertible layers, their networks and their likelihood."""
