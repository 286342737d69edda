"""From a config to results: the run, the LightningModule, checkpoints, loggers."""
