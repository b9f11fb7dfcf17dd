"""Capsules: folders with all that is needed to repeat one task on this machine."""
