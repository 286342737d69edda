"""A trained model behind HTTP: JSON in, records out, and a page for people."""
