"""Trains attention models on downstream tasks; see README.md."""
