"""How tasks are built: what the user gives is checked, and made into records."""
