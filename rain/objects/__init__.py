"""Bytes of data objects: where they lie, how they are written, read, walked, packed and turned into Python values."""
