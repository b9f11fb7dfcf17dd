"""Tasks and governors as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rain.client.core.records import TaskRecord
from rain.client.handles import inside
from rain.common.state_styles import LOOKS, SEVERITY

if TYPE_CHECKING:
    from rain.client.session import Session

_NAME_CHARS_MAX = 40
_ERROR_CHARS_MAX = 60
_COLUMNS = ("", "id", "name", "type", "state", "seconds", "governor", "")


def aligned(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows of texts as lines with aligned columns; those in `right` are aligned to the right.

    Names may hold anything: line ends and other control characters are escaped.

    Examples
    --------
    >>> print(aligned([("a", "10"), ("b\\nd", "2")], right=[1]))
    a     10
    b\\nd   2
    """
    from rain.notebook.inspectors.sanitize import visible  # not needed to load the magics

    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def tasks_text(session: Session, limit: int) -> str:
    """The tasks of `session` as a table, with counts by state; `limit` rows at most, the most interesting ones."""
    records = [record for record in list(inside(session).mirror.records.values()) if isinstance(record, TaskRecord)]
    counts = Counter(record.shown for record in records)
    words = [f"{counts[state]} {LOOKS[state].word}" for state in SEVERITY if counts[state]]
    total = f"{len(records)} {'task' if len(records) == 1 else 'tasks'} in session {session.name!r}"
    total += f": {', '.join(words)}" if words else ""
    if not records:
        return total
    shown = records
    if len(records) > limit:
        shown = sorted(records, key=lambda record: SEVERITY.index(record.shown))[: max(0, limit)]
        total += f" ({len(shown)} shown)"
    table = aligned([_COLUMNS, *map(_row, shown)], right=[1, 5])
    return f"{table}\n{total}"


def _row(record: TaskRecord) -> tuple[str, ...]:
    spec, info, look = record.spec, record.info, LOOKS[record.shown]
    seconds = f"{info.duration:.3f}" if info is not None and info.duration is not None else ""
    governor = info.governor or "" if info is not None else ""
    error = record.error.message.strip().rpartition("\n")[2] if record.error is not None and record.failed else ""
    name = "" if spec.name is None else _short(spec.name, _NAME_CHARS_MAX)
    return (
        look.mark, str(spec.id.id), name, spec.task_type, look.word, seconds, governor, _short(error, _ERROR_CHARS_MAX),
    )  # fmt: skip


def _short(text: str, most: int) -> str:
    text = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return text if len(text) <= most else text[: most - 1] + "…"


def governors_text(address: str, info: dict[str, Any]) -> str:
    """A client's server, governors and sessions as text."""
    lines = [f"Server {address}, version {info['version']}"]
    rows = [("governor", "cpus", "tasks", "objects")]
    for governor in info["governors"]:
        cpus = f"{governor['resources'].get('cpus', 0):g}"
        rows.append((governor["governor_id"], cpus, str(len(governor["tasks"])), str(len(governor["objects"]))))
    lines += [aligned(rows, right=[1, 2, 3]) if len(rows) > 1 else "no governors"]
    for session in info["sessions"]:
        counts = ", ".join(f"{count} {state}" for state, count in session["tasks"].items() if count) or "no tasks"
        lines.append(f"session {session['session_id']} {session['name']!r}: {counts}")
    return "\n".join(lines)
