"""Data of all tasks: splits, batches and their order, the parts that baselines share."""
