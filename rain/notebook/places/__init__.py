"""Places on engines in the notebook: boxes with their states, live and saved."""
