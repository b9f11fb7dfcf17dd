"""Viewers: what an inspector shows of one kind of content."""
