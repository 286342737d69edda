"""Using a trained model: loading it, predicting with it. Imports neither Lightning nor Hydra."""
