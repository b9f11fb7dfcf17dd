"""Processes on other hosts."""
