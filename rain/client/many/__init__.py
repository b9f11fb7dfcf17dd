"""Many calls of one function: the arguments of each, and trees that combine what many give."""
