"""How members leave their range: because they ended, go back to the server, or lost an input."""

from __future__ import annotations

from rain.common.ids import ID
from rain.governor.core.families.ranges import Range
from rain.governor.core.objects import release
from rain.governor.core.records import Object, Session, State
from rain.governor.states import Phase


def ranges_of(session: Session) -> list[Range]:
    """All ranges of a session."""
    found: dict[Range, None] = {}
    for listed in session.ranges.values():
        found.update(dict.fromkeys(listed))
    return list(found)


def left(state: State, owner: Range, count: int) -> None:
    """Take note that `count` members are not in their range any more."""
    owner.left -= count
    if not owner.left:
        owner.phase = Phase.GONE
        ranges = owner.session.ranges
        for bucket in owner.buckets():
            listed = ranges[bucket]
            listed.remove(owner)
            if not listed:
                del ranges[bucket]
        release(state, owner)
    elif not owner.rest and owner.phase is Phase.READY:
        owner.phase = Phase.QUEUED


def give_back(state: State, owner: Range) -> list[tuple[ID, int]]:
    """Take all members that no executor has out of a range; returns their ids and attempts."""
    given = [attempt for start, stop in owner.rest for attempt in owner.attempts(start, stop)]
    if owner.phase is Phase.READY:
        owner.group.ready -= len(given)
    owner.rest = []
    if given:
        left(state, owner, len(given))
    return given


def inputs_gone(state: State, obj: Object, reason: str) -> None:
    """Give members that need an object, and have not begun, back to the server."""
    for owner in ranges_of(obj.session):
        if owner.rest and obj in owner.inputs:
            state.inputs_missing.append((give_back(state, owner), [obj.id], reason))
