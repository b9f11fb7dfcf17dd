"""Pools whose process has ended while jobs of theirs are still there."""

from __future__ import annotations

from rain.common.errors import RainException
from rain.deploy.engines.commands import output_of
from rain.deploy.engines.provider import PROVIDER
from rain.deploy.pools.choice import BATCH_SYSTEMS
from rain.deploy.pools.on_disk import records
from rain.deploy.pools.on_disk.records import PlaceRecord, PoolRecord
from rain.deploy.pools.supplier import JobState
from rain.objects.dirtree import remove_tree


def seen(record: PoolRecord) -> list[PlaceRecord]:
    """The places of a pool whose process has ended, whose jobs are still there.

    Of Dask, Ray and ssh none are: what runs there ends with the process that started it.

    Raises
    ------
    RainException
        If the engine does not tell.
    """
    if record.engine.startswith(PROVIDER) and record.places:
        raise RainException(
            f"{record.engine} cannot be asked without its object, and jobs may still wait: `rain pool remove "
            f"{record.id}` names them and forgets the pool"
        )
    system = BATCH_SYSTEMS.get(record.engine)
    if system is None or not record.places:
        return []
    jobs = system.shown(output_of(system.show([place.job for place in record.places]), record.engine, system.gone))
    there = []
    for place in record.places:
        job = jobs.get(place.job)
        if job is not None and job.state is not JobState.ENDED:
            state = "pending" if job.state is JobState.PENDING else "running"
            there.append(
                PlaceRecord(number=place.number, job=place.job, state=state, told=job.reason, governor=place.governor)
            )
    return there


def settle(record: PoolRecord) -> str:
    """Look what is left of a pool whose process has ended; one of which nothing is left has ended.

    Returns
    -------
    str
        Why the engine does not tell that, or why it cannot be written down; empty if all went well.
    """
    try:
        left = seen(record)
        record.places = left
        record.wanted = len(left)
        if not left:
            record.closed = record.ended = True
            remove_tree(str(record.requests))
        records.write(record)
    except (RainException, OSError) as error:  # it is this pool's alone: others are dealt with all the same
        return str(error)
    return ""


def end(record: PoolRecord) -> None:
    """End the jobs of a pool whose process has ended.

    Raises
    ------
    RainException
        If the engine refuses, with its words in the text, or what became of the jobs cannot be told or written down.
    """
    if record.engine.startswith(PROVIDER) and record.places:
        jobs = " ".join(place.job for place in record.places)
        record.places, record.wanted, record.closed, record.ended = [], 0, True, True
        records.write(record)
        raise RainException(
            f"pool {record.id} is forgotten; what still waits of it has to be ended by the engine's own command, since "
            f"{record.engine} cannot be asked without its object: {jobs}"
        )
    trouble = settle(record)
    system = BATCH_SYSTEMS.get(record.engine)
    if record.places and system is not None:
        output_of(system.cancel([place.job for place in record.places]), record.engine, system.gone)
        trouble = settle(record)
    if trouble:
        raise RainException(f"what was left of pool {record.id} was ended, but: {trouble}")
