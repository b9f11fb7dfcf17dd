"""Which functions of a session's tasks were edited since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.client.core.operations import reruns
from rain.client.core.records import TaskRecord
from rain.client.functions.function import CELL, CODE, FUNCTION, NOTEBOOK, Source, present
from rain.client.handles import inside
from rain.client.stale.fingerprint import Place, comparable, same_function

if TYPE_CHECKING:
    from rain.client.session import Session

FUNCTIONS_MAX = 2000
"""How many functions of a session are looked at; a session with more makes them in a loop."""


def edited(session: Session) -> dict[int, Source]:
    """Functions that are defined otherwise now, by the numbers of the constants that hold them as submitted."""
    mirror = inside(session).mirror
    users: dict[int, TaskRecord] = {}
    for record in list(mirror.records.values()):
        if isinstance(record, TaskRecord) and record.spec.function is not None:
            users.setdefault(record.spec.function.id, record)
    found: dict[int, Source] = {}
    now: dict[Any, tuple[Source, str] | None] = {}
    for number, record in list(users.items())[-FUNCTIONS_MAX:]:
        holder: Any = mirror.records.get(number)
        told = holder.spec.user if holder is not None else {}
        path, code, notebook, cell = (str(told.get(key, "")) for key in (FUNCTION, CODE, NOTEBOOK, CELL))
        if not path or not code:  # of a client that did not tell
            continue
        # A function defined inside of another one can only be found by a record that holds it.
        key = (path, record.source if "<locals>" in path else None)
        if key not in now:
            source = present(path, record.source)
            now[key] = None if source is None else (source, source.fingerprint())
        known = now[key]
        if known is None:
            continue
        source, is_now = known
        if not comparable(code, is_now) or code == is_now:
            continue
        # What this process submitted was defined in this process, where a name means one thing.
        here = record.source is not None and source.path == path
        if here or same_function(Place(path, notebook, cell), Place(source.path, source.notebook, source.cell)):
            found[number] = source
    return found


def refresh(session: Session) -> dict[int, Source]:
    """Mark the tasks that are stale now; what `edited` gives."""
    found = edited(session)
    own = inside(session)
    with own.connection.lock:
        reruns.mark(own.mirror, found.keys())
    return found
