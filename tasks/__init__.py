"""Tasks, one folder each; a task imports the library and never another task."""
