"""What stands in for parts of Python that some systems lack."""
