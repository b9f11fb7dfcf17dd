"""Viewers of files that hold several documents or files: archives, notebooks, drawings."""
