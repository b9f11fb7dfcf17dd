"""Runs a user's script while processes of its cluster are killed, and compares what it gives with a run without."""
