"""What a client does over time: requests, submits, waiting, fetching, over one connection."""
