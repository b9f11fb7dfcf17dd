"""Programs as tasks: the folder they run in, and their run."""
