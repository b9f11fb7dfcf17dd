"""Families at the client: calls that differ by their arguments only, as columns; members become records when needed."""
