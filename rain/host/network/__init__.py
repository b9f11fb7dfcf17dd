"""This host in its networks: its addresses, and who listens on its ports."""
