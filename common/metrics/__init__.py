"""Numbers that say how good samples, codes and reconstructions are."""
