"""Building tasks: inputs, outputs and options that the user gives are checked, and records made of them."""
