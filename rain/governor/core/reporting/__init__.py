"""What the core says: batches for the server, and the texts of failures."""
