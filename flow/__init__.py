"""NICE, RealNVP and Glow (articles 5776, 5807 and 6407)."""
