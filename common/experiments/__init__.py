"""Whole runs, comparisons and benchmarks."""
