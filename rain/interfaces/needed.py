"""What users read when the library that an interface is for is not installed, or too old."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(name: str, library: str, extra: str) -> Iterator[None]:
    """Imports of another library in this block; if they fail, the error says what to install.

    Parameters
    ----------
    name : str
        The public name that needs the library.
    library : str
        The library, and its version.
    extra : str
        The extra of Rain that brings it.

    Raises
    ------
    ImportError
        Of the same class as that of the import which failed.
    """
    try:
        yield
    except ImportError as error:
        text = f"{name} needs {library} ({error}): pip install 'rain[{extra}]'"
        raise type(error)(text, name=error.name, path=error.path) from error
