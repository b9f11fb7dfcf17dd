"""Reuse between runs: results in a folder, found again by what they depend on (`rain.client.core.reuse`)."""
