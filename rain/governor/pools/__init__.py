"""What runs tasks on a governor: Python executors, foreign executors, threads for builtin tasks."""
