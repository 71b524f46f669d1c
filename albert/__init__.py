"""Article 7187: an encoder whose layers share their weights, and what it gains when they no longer do."""
