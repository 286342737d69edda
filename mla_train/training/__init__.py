"""From a config to results: the task's base, the run, and what happens around it."""
