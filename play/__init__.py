"""A local page on which the articles can be tried: `make play`, or `python -m play`."""
