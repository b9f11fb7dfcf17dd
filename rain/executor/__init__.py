"""Executors: the processes that run user code, Python tasks and programs."""
