"""Launchers: clusters that are started for users, here, over ssh or in a batch job, and stopped again."""
