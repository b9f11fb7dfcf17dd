"""What may be asked of the event log, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.server.event_log.batches import EventRecord

EVENT_TYPES = frozenset(
    {
        "GovernorNew",
        "GovernorDraining",
        "GovernorRemoved",
        "ClientNew",
        "ClientRemoved",
        "SessionNew",
        "SessionClosed",
        "ClientSubmit",
        "ClientUnkeep",
        "TaskStarted",
        "TaskFinished",
        "DataObjectFinished",
        "Monitoring",
        "ClientInvalidRequest",
    }
)
"""The types that are in the log, as `POST /events` names them."""


class TypeFilter(msgspec.Struct):
    """One alternative of a query's ``event_types``."""

    value: str
    mode: str = "="


class Comparison(msgspec.Struct):
    """A condition on a number."""

    value: int
    mode: str = "="


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": int.__eq__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
    "!=": int.__ne__,
}


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /events`. Several `event_types` are alternatives; absent fields do not restrict."""

    event_types: list[TypeFilter] | None = None
    session: int | Comparison | None = None
    id: int | Comparison | None = None
    limit: int | None = None

    def matcher(self) -> Callable[[EventRecord], bool]:
        """A predicate for records.

        Raises
        ------
        RainException
            If a type or a mode is unknown.
        """
        types: set[str] | None = None
        if self.event_types is not None:
            types = set()
            for wanted in self.event_types:
                if wanted.value not in EVENT_TYPES:
                    raise RainException(
                        f"unknown event type {wanted.value!r}; there are {', '.join(sorted(EVENT_TYPES))}"
                    )
                if wanted.mode not in ("=", "!="):
                    raise RainException(f"unknown mode {wanted.mode!r} of an event type; there are '=' and '!='")
                types |= {wanted.value} if wanted.mode == "=" else EVENT_TYPES - {wanted.value}
        session, number = _condition(self.session), _condition(self.id)

        def matches(record: EventRecord) -> bool:
            return (
                (types is None or record.type in types)
                and (session is None or (record.session is not None and session(record.session)))
                and (number is None or number(record.id))
            )

        return matches


def _condition(wanted: int | Comparison | None) -> Callable[[int], bool] | None:
    if wanted is None:
        return None
    if isinstance(wanted, int):
        wanted = Comparison(wanted)
    compare = _COMPARE.get(wanted.mode)
    if compare is None:
        raise RainException(f"unknown mode {wanted.mode!r}; there are {' '.join(_COMPARE)}")
    value = wanted.value
    return lambda number: compare(number, value)


def as_json(record: EventRecord) -> dict[str, Any]:
    """The record in the form that `POST /events` answers."""
    event: dict[str, Any] = {"type": record.type}
    if record.session is not None:
        event["session"] = record.session
    if record.item is not None:
        event["id"] = record.item
    event.update(record.values)
    return {"id": record.id, "time": record.time, "event": event}
