"""Where the code of a cell lives: namespace, compiler and file names, in IPython or without."""

from __future__ import annotations
import __future__

import codeop
import itertools
import linecache
import re
import sys
from typing import Any

from rain.common.errors import RainException
from rain.notebook.magics.cell_source import MAGIC, Cell

_CALLED = re.compile(
    r"(await )?get_ipython\(\)\.(run_cell_magic\('rain_remote'|magics_manager\.registry\['RainMagics'\]\.run_remote)"
)
"""How a cell of the magic begins when IPython runs it."""
_numbers = itertools.count(1)


def current_shell() -> Any:
    """The IPython shell that we are in, if there is one."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def future_flags(compiler: Any) -> int:
    """Those flags of a compiler that come from ``__future__`` imports."""
    known = 0
    for name in __future__.all_feature_names:
        known |= getattr(__future__, name).compiler_flag
    return int(compiler.flags) & known


class Home:
    """Where the code of a cell lives: a namespace, and file names that tracebacks show.

    Parameters
    ----------
    names : dict or None
        The namespace; the shell's if not given.
    shell : InteractiveShell or None
        The one that we are in if not given.
    """

    def __init__(self, names: dict[str, Any] | None = None, shell: Any = None) -> None:
        self.shell = shell = shell if shell is not None else current_shell()
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
        return future_flags(self.compiler)

    def file_for(self, text: str) -> str:
        """The file name of a cell; that of the one which is being run if it is the magic's."""
        if self.shell is None:
            return f"<rain_remote {next(_numbers)}>"
        running, number = self._running_cell()
        if running and _CALLED.match("".join(linecache.getlines(running)).lstrip()):
            return running
        name: str = self.shell.compile.cache(text, number, raw_code=text)
        return name

    def _running_cell(self) -> tuple[str, int]:
        """The file name of the cell that is being run, and its number."""
        frame = sys._getframe(1)
        while frame.f_back is not None:
            frame = frame.f_back
            shown = self.shell.compile.format_code_name(frame.f_code.co_filename)
            if shown is not None:
                digits = re.search(r"\d+", shown[1])
                return frame.f_code.co_filename, int(digits[0]) if digits else self.shell.execution_count
        return "", self.shell.execution_count

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
