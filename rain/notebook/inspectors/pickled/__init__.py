"""Views of pickled values: without loading them, by an executor, and loaded here."""
