"""Pickles whose large buffers can be mapped, and reducers for values whose own pickles copy their memory."""
