"""Measurements of speed against other libraries, see scripts/benchmark.py."""
