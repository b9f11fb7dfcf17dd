"""Where the code of a cell lives: namespace, compiler and file names, in IPython or without."""

from __future__ import annotations

import codeop
import itertools
import linecache
from typing import Any

from rain.common.errors import RainException
from rain.notebook import jupyter_quirks
from rain.notebook.magics.cell_source import MAGIC, Cell

_numbers = itertools.count(1)


class ExecutionNamespace:
    """Where the code of a cell lives: a namespace, and file names that tracebacks show.

    Parameters
    ----------
    names : dict or None
        The namespace; the shell's if not given.
    shell : InteractiveShell or None
        The one that we are in if not given.
    """

    def __init__(self, names: dict[str, Any] | None = None, shell: Any = None) -> None:
        self.shell = shell = shell if shell is not None else jupyter_quirks.current_shell()
        if names is not None:
            names.setdefault("__name__", "__main__")
            self.globals = self.locals = names
        elif shell is not None:
            self.globals, self.locals = shell.user_global_ns, shell.user_ns
        else:
            raise RainException("outside of IPython remote_cell needs a namespace, for instance globals()")
        self.compiler: Any = codeop.Compile() if shell is None else shell.compile

    @property
    def future(self) -> int:
        """Compiler flags of the ``__future__`` imports of earlier cells."""
        return jupyter_quirks.future_flags(self.compiler)

    def file_for(self, text: str) -> str:
        """The file name of a cell; that of the one which is being run if it is the magic's."""
        if self.shell is None:
            return f"<rain_remote {next(_numbers)}>"
        running, number = jupyter_quirks.running_cell(self.shell)
        if running and jupyter_quirks.is_call_of_remote_cell("".join(linecache.getlines(running))):
            return running
        return jupyter_quirks.file_of_cell(self.shell, text, number)

    def show_as(self, filename: str, text: str) -> None:
        """What tracebacks and `inspect.getsource` find in that file."""
        linecache.cache[filename] = (len(text), None, [line + "\n" for line in text.split("\n")], filename)

    def read(self, line: str, body: str, skipped: int = 0) -> Cell:
        """The cell with `skipped` empty lines above it, under a file name of its own."""
        head = f"{MAGIC} {line}".rstrip()
        text = "\n" * skipped + head + "\n" + body
        filename = self.file_for(text)
        self.show_as(filename, text)  # for errors of syntax
        return Cell(line, body, skipped, filename)

    def plain(self, body: str) -> str:
        """`body` without IPython's own syntax; as many lines above its first statement as before."""
        if self.shell is None:
            return body
        bare = body.lstrip("\n")
        text: str = self.shell.transform_cell(bare)
        return "\n" * (len(body) - len(bare)) + text
