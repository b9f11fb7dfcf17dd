"""`Misuse`: a command line that cannot be meant; its exit status is 2."""

from __future__ import annotations

import typer

# Typer brings its own copy of the library that defines this, and does not export it.
Misuse: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")
