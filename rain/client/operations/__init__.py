"""What a client does over time on its connection: requests, submits, waits, fetches."""
