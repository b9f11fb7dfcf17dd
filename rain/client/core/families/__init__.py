"""Families at the client: many equal calls as columns, whose members become records when somebody looks at them."""
