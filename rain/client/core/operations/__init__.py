"""What users ask for that takes several steps: operations of the core (see `rain.client.core.waiting`)."""
