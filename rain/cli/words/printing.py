"""Texts for terminals."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """A number and its noun, which gets an s where it is due."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def table(head: list[str], rows: list[list[str]], nothing: str) -> None:
    """Print rows below a head; `nothing` if there are none."""
    if not rows:
        print(nothing)
        return
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """Names come from users: no character in them may move the cursor of the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
