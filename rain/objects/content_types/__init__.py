"""Content types: Python values to bytes and back."""
