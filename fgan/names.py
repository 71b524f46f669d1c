"""Names of the divergences of article 6016."""

NAMES = ("total_variation", "kl", "reverse_kl", "pearson", "neyman", "hellinger", "jeffrey", "js", "gan")
# the order in figures and tables with one panel or row per divergence: total variation, the one with a corner, is last
PANEL_ORDER = (*NAMES[1:], NAMES[0])
