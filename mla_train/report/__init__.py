"""What runs leave for people: tables, pages, the list of runs, W&B."""
