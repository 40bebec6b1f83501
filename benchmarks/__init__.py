"""Benchmarks: generated workloads, the programs that compete over them, and the page that says how they fared."""
