"""Graphs of tasks as texts: a picture of the test in the place of a page of calls.

Each line (or part between semicolons) is a chain of groups; every task of a group has all tasks of the group before it
as inputs. A task may be in several lines, have options in brackets, and stand for many::

    first -> left right -> last
    urgent [priority=5]; wide [cpus=2] -> last; small*40
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

_GROUP = re.compile(r"(\w+)(?:\*(\d+))?\s*(?:\[([^\]]*)\])?\s*")


@dataclass
class Node:
    """A task of a text."""

    name: str
    inputs: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def parse(text: str) -> list[Node]:
    """The tasks of a text: in the order in which they are first named, but each behind its inputs.

    Raises
    ------
    ValueError
        If the text cannot be read, or is a circle.

    Examples
    --------
    >>> [(node.name, node.inputs) for node in parse("a -> b c; d")]
    [('a', []), ('b', ['a']), ('c', ['a']), ('d', [])]
    """
    nodes: dict[str, Node] = {}
    for line in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        before: list[str] = []
        for group in line.split("->"):
            names = _group(group.strip(), nodes)
            for name in names:
                nodes[name].inputs += [other for other in before if other not in nodes[name].inputs]
            before = names
    return _ordered(nodes)


def _group(text: str, nodes: dict[str, Node]) -> list[str]:
    names: list[str] = []
    position = 0
    while position < len(text):
        found = _GROUP.match(text, position)
        if found is None:
            raise ValueError(f"not a graph, at {text[position:]!r}")
        name, count, options = found.groups()
        for new in [name] if count is None else [f"{name}{number}" for number in range(int(count))]:
            names.append(new)
            nodes.setdefault(new, Node(new)).options |= _options(options or "")
        position = found.end()
    if not names:
        raise ValueError("a group of a chain is empty")
    return names


def _options(text: str) -> dict[str, Any]:
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}


def _ordered(nodes: dict[str, Node]) -> list[Node]:
    done: dict[str, Node] = {}

    def add(node: Node, above: tuple[str, ...] = ()) -> None:
        if node.name in above:
            raise ValueError(f"a circle: {' -> '.join([*above, node.name])}")
        for name in node.inputs:
            if name not in done:
                add(nodes[name], (*above, node.name))
        done.setdefault(node.name, node)

    for node in nodes.values():
        add(node)
    return list(done.values())
