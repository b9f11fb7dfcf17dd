"""What a governor learns of where it runs: its share of the host, the batch job around it, and how these end."""
