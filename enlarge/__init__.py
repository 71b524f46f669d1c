"""Lossless enlargement of a Transformer: a wider model that computes the same function (article 8444)."""
