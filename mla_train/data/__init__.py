"""Data of all tasks: reading files, splits, batches and their order, tokenizers, caches."""
