"""From the layout of a library to word vectors (article 6191)."""
