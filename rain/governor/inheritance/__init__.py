"""Inheritance: a governor takes over the stores of governors that died on its host."""
