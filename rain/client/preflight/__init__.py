"""A look at what is built, before it is submitted: what would fail, where, and what to do."""
