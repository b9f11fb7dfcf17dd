"""Inputs in the store that are not what was stored there: how that is found, and what follows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol.messages import Damage, TaskAssignment, TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.governor.core.effects import Known
from rain.governor.pools.builtin_tasks import run_builtin
from rain.governor.store import Store
from rain.objects.dirtree import remove_any


def lose_damaged(store: Store, damage: Damage) -> dict[ID, str]:
    """Drop from the store what an attempt found damaged; gives these objects and what is wrong with them.

    Of what the store has moved since, it knows better. What changed inside of a directory only the attempt can tell.
    """
    lost = {}
    for id in damage.objects:
        held = store.get(id)
        reason = store.damage_of(id)
        if not reason and held is not None and held.is_dir and damage.suspect:
            reason = "its files were changed while a task read them"
        if reason:
            lost[id] = reason
            store.lose(id, reason)
    return lost


def run_builtin_checked(
    assignment: TaskAssignment, known: Sequence[Known], store: Store, cancelled: threading.Event
) -> TaskResult:
    """`run_builtin` over inputs that are looked at before and afterwards; its result tells of damage."""
    ids = [wanted.id for wanted in assignment.spec.inputs]
    held = [one for one in map(store.get, ids) if one is not None]
    found = _damaged(store, ids)
    if found:
        info = TaskInfo(attempts=assignment.attempt)
        return _spoiled(TaskResult(assignment.spec.id, assignment.attempt, info), found, ran=False)
    result = run_builtin(assignment, held, known, store, cancelled)
    found = _damaged(store, ids)
    if found:
        for output in result.outputs:
            if isinstance(output.location, LocalFile):
                remove_any(output.location.path)
        return _spoiled(result, found, ran=True)
    return result


def _damaged(store: Store, ids: Iterable[ID]) -> dict[ID, str]:
    return {id: reason for id in ids if (reason := store.damage_of(id))}


def _spoiled(result: TaskResult, found: dict[ID, str], ran: bool) -> TaskResult:
    text = "; ".join(f"input {id}: {reason}" for id, reason in found.items())
    result.outputs = []
    result.error = TaskError("input", text)
    result.info.error = text
    result.damage = Damage(list(found), ran=ran)
    return result
