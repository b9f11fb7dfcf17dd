"""Names that were meant by names that do not exist."""
