"""Plain functions: called by tasks as they are, without a context, with values in and a value out."""
