"""Pools whose process has ended while jobs of theirs are still there."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.deploy.engines.commands import output_of
from rain.deploy.pools.choice import BATCH_SYSTEMS
from rain.deploy.pools.on_disk import records
from rain.deploy.pools.on_disk.records import PlaceRecord, PoolRecord
from rain.deploy.pools.supplier import JobState
from rain.objects.dirtree import remove_tree


def seen(record: PoolRecord) -> list[PlaceRecord] | None:
    """The places of a pool whose process has ended, whose jobs are still there; None if the engine does not tell.

    Of engines other than batch systems none are: what runs there ends with the process that started it.
    """
    system = BATCH_SYSTEMS.get(record.engine)
    if system is None or not record.places:
        return []
    try:
        jobs = system.shown(output_of(system.show([place.job for place in record.places]), record.engine, system.gone))
    except RainException:
        return None
    there = []
    for place in record.places:
        job = jobs.get(place.job)
        if job is not None and job.state is not JobState.ENDED:
            state = "pending" if job.state is JobState.PENDING else "running"
            there.append(
                PlaceRecord(number=place.number, job=place.job, state=state, told=job.reason, governor=place.governor)
            )
    return there


def settle(record: PoolRecord) -> None:
    """Look what is left of a pool whose process has ended; one of which nothing is left has ended."""
    left = seen(record)
    if left is None:
        return
    record.places = left
    record.wanted = len(left)
    if not left:
        record.closed = record.ended = True
        remove_tree(str(record.requests))
    records.write(record)


def end(record: PoolRecord) -> None:
    """End the jobs of a pool whose process has ended.

    Raises
    ------
    RainException
        If the engine refuses; its words are in the text.
    """
    settle(record)
    system = BATCH_SYSTEMS.get(record.engine)
    if record.places and system is not None:
        output_of(system.cancel([place.job for place in record.places]), record.engine, system.gone)
        settle(record)
