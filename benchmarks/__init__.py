"""Figures for docs/benchmarks.md: ratios against a floor or a peer measured in the same run."""
