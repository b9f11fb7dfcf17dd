"""Tasks that one executor runs one after the other, each with what those before it made."""
