"""Tasks of many calls of one function at once (`map`): a family where calls differ by their arguments only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rain.client.building.calls import add_packed, template_of
from rain.client.building.options import Options
from rain.client.building.task_list import TaskList
from rain.client.core.families.family import Family
from rain.client.core.reuse.task import Reuse
from rain.client.data import DataObject
from rain.client.functions import call_sites
from rain.client.functions.arguments import pack, plain_pickle, plain_pickles
from rain.client.functions.function import Payload
from rain.client.functions.parameters import Parameters
from rain.client.handles import inside, record_of
from rain.client.io_spec import OutputBase
from rain.client.many.rows import Rows
from rain.client.reuse.results import results_for
from rain.client.task import Task
from rain.common.errors import RainException
from rain.common.task_configs import PyConfig

if TYPE_CHECKING:
    from rain.client.session import Session


class Mapped(NamedTuple):
    """What the calls of one `map` have in common.

    Attributes
    ----------
    label : str
        The function's name, for errors.
    encode : list of (str or None)
        How results are encoded.
    kept : bool
        Whether the outputs are kept from the call on.
    plain : bool
        As in `PyConfig`.
    """

    session: Session
    label: str
    parameters: Parameters
    encode: list[str | None]
    outputs: Sequence[OutputBase]
    options: Options
    payload: Payload
    kept: bool
    plain: bool


Packed = tuple[PyConfig, dict[DataObject, str | None], Reuse | None]


def call_all(mapped: Mapped, calls: Collection[tuple[Any, ...]], kwargs: dict[str, Any]) -> list[Task[Any]]:
    """A task for each call; `calls` are their positional arguments, `kwargs` the keywords that all of them have.

    The arguments of each call are pickled first; if those of one call cannot be, no task is made.

    Raises
    ------
    RainException
        If arguments cannot be used; the text says of which call.
    TypeError
        If they do not fit the function's signature.
    """
    plain = None if kwargs or mapped.payload.objects or not _fit(mapped, calls) else plain_pickles(calls)
    if plain:
        return TaskList._of(mapped.session, _family(mapped, plain))
    runs = _runs(mapped, _packed(mapped, calls, kwargs))
    if len(runs) == 1 and isinstance(runs[0], list):
        return TaskList._of(mapped.session, _family(mapped, runs[0]))
    made: list[Task[Any]] = []
    for run in runs:
        if isinstance(run, list):
            made += TaskList._of(mapped.session, _family(mapped, run))
        else:
            made.append(_single(mapped, *run))
    return made


def _fit(mapped: Mapped, calls: Collection[tuple[Any, ...]]) -> bool:
    widths = {calls.width} if isinstance(calls, Rows) else set(map(len, calls))
    return all(map(mapped.parameters.fits, widths))


def _packed(mapped: Mapped, calls: Collection[tuple[Any, ...]], kwargs: dict[str, Any]) -> list[bytes | Packed]:
    """The arguments of each call: only their pickle, if they hold no data objects and no code."""
    parameters, session, encode = mapped.parameters, mapped.session, mapped.encode
    packed: list[bytes | Packed] = []
    large: list[DataObject] = []
    bare = not kwargs
    results = results_for(session, mapped.options)
    number = 0
    try:
        for number, args in enumerate(calls):  # noqa: B007
            given, named = (args, kwargs) if bare and parameters.fits(len(args)) else parameters.bound(args, kwargs)
            data = plain_pickle(given, named)
            if data is not None:
                packed.append(data)
                continue
            reuse = None if results is None else results.call(mapped.payload, parameters, mapped.options, given, named)
            packed.append((*pack(parameters, given, named, session, encode, large), reuse))
    except BaseException as error:
        _take_back(session, large)
        if isinstance(error, RainException):
            raise type(error)(f"item {number} of {mapped.label}.map(): {error}") from error.__cause__
        raise
    return packed


def _take_back(session: Session, large: list[DataObject]) -> None:
    """Take back constants that were made in the place of large arguments of calls, of which no task is made."""
    mirror = inside(session).mirror
    for record in map(record_of, large):
        mirror.pending.remove(record)
        mirror.records.pop(record.spec.id.id)


def _runs(mapped: Mapped, packed: list[bytes | Packed]) -> list[list[bytes] | Packed]:
    """The calls in order; calls in a row that differ by their pickles only are together."""
    runs: list[list[bytes] | Packed] = []
    alike = not mapped.payload.objects
    results = None if alike else results_for(mapped.session, mapped.options)
    for one in packed:
        data = one if isinstance(one, bytes) else _alike(mapped, *one)
        if data is None or not alike:
            if isinstance(one, tuple):
                runs.append(one)
                continue
            made = None if results is None else results.function(mapped.payload, mapped.parameters, mapped.options)()
            runs.append((PyConfig(one, mapped.parameters.auto_load, mapped.encode), {}, made))
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(data)
        else:
            runs.append([data])
    return runs


def _alike(
    mapped: Mapped, config: PyConfig, objects: dict[DataObject, str | None], reuse: Reuse | None
) -> bytes | None:
    """The pickle of a call's arguments if they hold no data objects and no code, else None."""
    if (
        reuse is not None
        or objects
        or config.types
        or config.sources
        or config.read_only
        or config.load != mapped.parameters.auto_load
    ):
        return None
    return config.args


def _single(mapped: Mapped, config: PyConfig, objects: dict[DataObject, str | None], reuse: Reuse | None) -> Task[Any]:
    config.plain = mapped.plain
    return add_packed(
        mapped.session, mapped.payload, config, objects, mapped.outputs, mapped.options, kept=mapped.kept, reuse=reuse
    )


def _family(mapped: Mapped, args: Sequence[bytes]) -> Family:
    session, options = mapped.session, mapped.options
    mirror = inside(session).mirror
    template = template_of(
        session, mapped.payload, mapped.parameters, mapped.outputs, mapped.encode, options, mapped.plain
    )
    origin = None if call_sites.origin is None else call_sites.origin()
    first = mirror.take_numbers(len(args) * (len(mapped.outputs) + 1))
    family = Family(mirror.session_id, first, template, args, call_sites.capture(1), origin)
    if mapped.kept or template.reuse is not None:
        family.kept = bytearray(b"\1") * len(args)
    mirror.add_family(family)
    return family
