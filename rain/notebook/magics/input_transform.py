"""Rewrites cells of ``%%rain_remote`` where a call of `run_cell_magic` cannot do it.

That is: where a statement of the cell awaits (a cell magic cannot be awaited), where the cell is empty (IPython's own
complaint is invisible to nbval) or has empty lines above the magic (its lines would have other numbers), and where it
has an error of syntax, which is thus shown as one of the cell's own.
"""

from __future__ import annotations

from typing import Any

from rain.common.errors import RainException
from rain.notebook import jupyter_quirks
from rain.notebook.magics.cell import awaits
from rain.notebook.magics.cell_source import MAGIC, Cell, compile_body

CALL = "get_ipython().magics_manager.registry['RainMagics'].run_remote"


class Rewriter:
    """What IPython calls with the lines of each cell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        """The lines of a cell, rewritten if it is one of ``%%rain_remote`` that needs it."""
        skipped = 0
        while skipped < len(lines) and not lines[skipped].strip():
            skipped += 1
        if skipped == len(lines) or not _is_ours(lines[skipped]):
            return lines
        line = lines[skipped].rstrip()[len(MAGIC) + 1 :]
        body = "".join(lines[skipped + 1 :])
        asynchronous = self._awaits(line, body, skipped, "".join(lines))
        if not asynchronous and not skipped and body:
            return lines
        return [f"{'await ' * asynchronous}{CALL}{'_async' * asynchronous}({line!r}, {body!r}, {skipped})\n"]

    def _awaits(self, line: str, body: str, skipped: int, text: str) -> bool:
        """Whether the cell awaits something here.

        Raises
        ------
        SyntaxError
            If it cannot be parsed.
        """
        shell = self._shell
        try:
            cell = Cell(line, body, skipped, "<unknown>")
            if cell.line.name:
                compile_body(cell, jupyter_quirks.future_flags(shell.compile))
                return False
        except RainException:  # the magic will say it
            return False
        except SyntaxError as error:
            error.filename = jupyter_quirks.file_of_cell(shell, text, shell.execution_count)
            raise
        return awaits(shell.transform_cell(body))


def _is_ours(line: str) -> bool:
    return line.startswith(MAGIC) and not line[len(MAGIC) : len(MAGIC) + 1].strip()


def install(shell: Any) -> None:
    """Let `shell` rewrite cells."""
    remove(shell)
    jupyter_quirks.put_first(shell, Rewriter(shell))


def remove(shell: Any) -> None:
    """Undo `install`."""
    transforms = shell.input_transformer_manager.cleanup_transforms
    transforms[:] = [transform for transform in transforms if not isinstance(transform, Rewriter)]
