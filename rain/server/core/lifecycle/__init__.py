"""From submit to end: attempts, failures, losses, retries."""
