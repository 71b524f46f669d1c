"""Words of a domain without labels (article 6540)."""
