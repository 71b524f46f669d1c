"""Names of the divergences of article 6016."""

NAMES = ("total_variation", "kl", "reverse_kl", "pearson", "neyman", "hellinger", "jeffrey", "js", "gan")
PANEL_ORDER = (*NAMES[1:], NAMES[0])  # of figures with a panel each: total variation, which is not smooth, comes last
