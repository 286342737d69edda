"""Inspection of trained models: attention maps, statistics of heads, and attribution of predictions to parts of the input."""
