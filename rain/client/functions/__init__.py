"""Users' functions and modules on their way to executors."""
