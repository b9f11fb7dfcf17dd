"""Reuse between runs, decided: what the key of a call is, why there is no result for it, and which results go first."""
