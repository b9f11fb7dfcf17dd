"""How tasks are built: what is given is checked, and records are made of it."""
