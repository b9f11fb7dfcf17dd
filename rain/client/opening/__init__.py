"""What a client opens, and goes on with."""
