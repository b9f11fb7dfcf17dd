"""Print ``docs/states.md``: all states of Rain's records, drawn from their tables (`rain.common.state_tables`)."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from rain.common.state_tables import StateTable

ROOT = pathlib.Path(__file__).parents[1]

HEAD = """\
# States

Drawn by `python tools/draw_states.py > docs/states.md` from the tables beside the enums. A change that its table lacks
is an error wherever states are checked, which is in all tests; and every arrow is taken by some test.
"""


def comments(kind: type) -> dict[str, str]:
    """What the source says beside each member."""
    found = re.findall(r"^ +(\w+) = .*?# (.*)$", inspect.getsource(kind), re.MULTILINE)
    return dict(found)


def word(state: Any) -> str:
    """How the page names a state; None is the point where a record comes from, and where it goes to."""
    return "[*]" if state is None else state.name.lower()


def draw(table: StateTable[Any]) -> str:
    """The part of the page about one table."""
    meaning = comments(table.kind)
    lines = [f"## {table.title}", "", f"`{table.kind.__module__}.{table.kind.__name__}`", ""]
    lines += ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {word(old)} --> {word(new)}" for old, new in table.arrows]
    lines += ["```", ""]
    lines += [f"* `{word(state)}`: {meaning[state.name]}" for state in table.kind if state.name in meaning]
    lines += ["", "| from | to | when |", "|---|---|---|"]
    lines += [f"| {word(old)} | {word(new)} | {when} |" for (old, new), when in table.arrows.items()]
    return "\n".join(lines) + "\n"


def tables() -> list[StateTable[Any]]:
    """All tables: what users see first, then module by module."""
    files = [path for path in ROOT.joinpath("rain").rglob("*.py") if " = StateTable(" in path.read_text()]
    found: list[StateTable[Any]] = []
    for path in sorted(files, key=lambda path: ("common" not in path.parts, path)):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found += [value for value in vars(module).values() if isinstance(value, StateTable) and value not in found]
    return found


def main() -> None:
    """Write the page."""
    sys.stdout.write("\n".join([HEAD, *map(draw, tables())]))


if __name__ == "__main__":
    main()
