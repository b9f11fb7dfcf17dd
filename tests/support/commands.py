"""Commands that tests make."""

from __future__ import annotations

import subprocess
from pathlib import Path


def write_command(path: Path, text: str) -> None:
    """Make `path` a command of this text, in place of what it was.

    A child writes it: while this process holds a file open for writing, a thread may fork, and until the forked
    child has begun its program the kernel refuses to start the file ("text file busy"). ``PATH`` is then searched on
    and finds the command of the system.

    Parameters
    ----------
    path : Path
    text : str
        It begins with ``#!``.
    """
    script = 'cat >"$1.new" && chmod 755 "$1.new" && mv -f "$1.new" "$1"'
    subprocess.run(["/bin/sh", "-c", script, "sh", str(path)], input=text, text=True, check=True)
