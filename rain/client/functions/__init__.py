"""How users' functions, their arguments and modules are sent to executors."""
