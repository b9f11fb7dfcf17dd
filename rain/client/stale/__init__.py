"""Results whose functions were edited since: which they are, and how they are made anew."""
