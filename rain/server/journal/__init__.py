"""The server's journal: what it was told, and images of its state, on disk, so that a successor comes to that state.

Nothing is imported here: `format` and `image` are pure, and what touches files must not come along with them.
"""
