"""Code blocks of Markdown files, run so that tracebacks and `inspect.getsource` know them."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """The blocks in `language`, each with the number of its first line in the file."""
    text = path.read_text()
    return [
        (text.count("\n", 0, found.start(2)) + 1, found.group(2))
        for found in FENCE.finditer(text)
        if found.group(1) == language
    ]


def section(path: Path, title: str, language: str) -> list[tuple[int, str]]:
    """Those of the blocks that stand below the heading `title`."""
    lines = path.read_text().splitlines()
    first = lines.index(f"## {title}") + 1
    last = next((n for n in range(first, len(lines)) if lines[n].startswith("## ")), len(lines))
    return [(line, source) for line, source in blocks(path, language) if first < line <= last]


def run(path: Path, line: int, source: str, namespace: dict[str, Any]) -> None:
    """Run a block in `namespace`, under a file name that `linecache` knows."""
    name = f"<{path.name}:{line}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec", dont_inherit=True), namespace)
