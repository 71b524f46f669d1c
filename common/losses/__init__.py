"""Formulas of losses and penalties."""
