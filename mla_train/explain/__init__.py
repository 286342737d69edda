"""Inspection of trained models: attention maps, statistics of heads, and attribution of predictions to parts of the input."""

METHODS = {"integrated_gradients": "captum", "occlusion": "captum", "lime": "lime", "shap": "shap"}
"""Each method and the package that it needs."""
