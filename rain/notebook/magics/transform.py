"""Rewrites cells of ``%%rain_remote`` where a call of `run_cell_magic` cannot do it.

That is: where a statement of the cell awaits (a cell magic cannot be awaited), where the cell is empty (IPython's own
complaint is invisible to nbval) or has empty lines above the magic (its lines would have other numbers), and where it
has an error of syntax, which is thus shown as one of the cell's own.
"""

from __future__ import annotations

from typing import Any

from rain.common.errors import RainException
from rain.notebook.magics.cell import awaits, current_shell, future_flags
from rain.notebook.magics.source import MAGIC, Cell, compile_body

CALL = "__import__('rain.notebook.magics', fromlist=['cell']).cell"


def rewrite(lines: list[str]) -> list[str]:
    """The lines of a cell, rewritten if it is one of ``%%rain_remote`` that needs it."""
    skipped = 0
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    if skipped == len(lines) or not _is_ours(lines[skipped]):
        return lines
    line = lines[skipped].rstrip("\n").rstrip()[len(MAGIC) :].lstrip(" ")
    body = "".join(lines[skipped + 1 :])
    shell = current_shell()
    try:
        cell = Cell(line, body, skipped, "<unknown>")
        if cell.line.name:
            compile_body(cell, future_flags(shell.compile))
    except RainException:  # the magic will say it
        asynchronous = False
    except SyntaxError as error:
        text = "".join(lines)
        error.filename = shell.compile.cache(text, shell.execution_count, raw_code=text)
        raise
    else:
        asynchronous = not cell.line.name and awaits(shell.transform_cell(body))
    if not asynchronous and not skipped and body:
        return lines
    arguments = f"({line!r}, {body!r}, skipped={skipped}, is_magic=True)\n"
    if asynchronous:
        return [f"await {CALL}.remote_cell_async{arguments}"]
    return [f"{CALL}.remote_cell{arguments}"]


def _is_ours(line: str) -> bool:
    return line.startswith(MAGIC) and not line[len(MAGIC) :].strip("\n")[:1].strip() and line.strip() != f"{MAGIC}?"


def install(shell: Any) -> None:
    """Let `shell` rewrite cells."""
    transforms = shell.input_transformer_manager.cleanup_transforms
    if rewrite not in transforms:
        transforms.insert(0, rewrite)


def remove(shell: Any) -> None:
    """Undo `install`."""
    transforms = shell.input_transformer_manager.cleanup_transforms
    if rewrite in transforms:
        transforms.remove(rewrite)
