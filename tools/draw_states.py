"""Print ``docs/states.md``: the states of tasks and objects, drawn from `rain.common.states.TRANSITIONS`."""

from __future__ import annotations

import enum
import inspect
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from rain.common import states

HEAD = """\
# States of tasks and data objects

Drawn from `TRANSITIONS` in `rain/common/states.py` by `python tools/draw_states.py > docs/states.md`. The server
refuses any change that is not in that table.
"""

NOTES = {
    "TaskState": """\
* `waiting` to `running` or `finished` is work ahead: a governor ran a task whose inputs it made itself, and both are
  told in one batch.
* From `running` back to `ready`: the attempt crashed, is retried, or its governor was lost; to `waiting` where an input
  was lost too.
* From `finished` back: an output was lost with a governor while somebody needs it, so it is made again.
* From `failed` or `cancelled` back: `session.retry()`.""",
    "DataObjectState": """\
* `finished` to `removed`: nobody needs it and nobody keeps it.
* `finished` or `removed` back to `unfinished`: it was lost, or it is an input of a task that has to run again.
* `failed` back to `unfinished`: its task is retried.""",
}


def comments(kind: type[enum.Enum]) -> dict[str, str]:
    """What the source says beside each member."""
    found = re.findall(r"^ +(\w+) = .*?# (.*)$", inspect.getsource(kind), re.MULTILINE)
    return dict(found)


def draw(kind: type[enum.Enum]) -> str:
    """A mermaid diagram and the meaning of each state."""
    lines = ["```mermaid", "stateDiagram-v2"]
    first = next(iter(kind))
    lines.append(f"    [*] --> {first.value}")
    for state in kind:
        after = states.TRANSITIONS[state]  # type: ignore[index]
        lines += [f"    {state.value} --> {other.value}" for other in kind if other in after]
    lines.append("```")
    meaning = comments(kind)
    lines.append("")
    lines += [f"* `{state.value}`: {meaning[state.name]}" for state in kind if state.name in meaning]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    for kind, title in ((states.TaskState, "Tasks"), (states.DataObjectState, "Data objects")):
        parts.append(f"## {title}\n\n{draw(kind)}\n\nWhy a state goes back, or skips one:\n\n{NOTES[kind.__name__]}\n")
    sys.stdout.write("\n".join(parts))


if __name__ == "__main__":
    main()
