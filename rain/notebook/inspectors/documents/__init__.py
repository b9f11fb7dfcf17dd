"""Viewers of files that hold several things: archives, notebooks, drawings."""
