"""The processes from which executors of one Python interpreter are forked."""
