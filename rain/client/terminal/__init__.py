"""Scripts whose user reads their output in a terminal."""
