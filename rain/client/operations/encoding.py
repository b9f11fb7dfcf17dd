"""From records to messages: a part of a session's graph as `Submit`s, failed tasks and new functions as a `Retry`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.session_mirror import SessionMirror
from rain.client.functions.call_sites import describe, told
from rain.client.functions.modules import Surroundings
from rain.common.ids import ID
from rain.common.limits import MIB
from rain.common.location import Inline, Upload
from rain.common.protocol.messages import Constant, Family, Retry, Submit
from rain.common.task_configs import ExecuteConfig, PyConfig

if TYPE_CHECKING:
    from rain.client.functions.call_sites import Site
    from rain.common.protocol.messages import SessionEnv
    from rain.common.task_configs import UserModule

PIECE_BYTES = 1 * MIB
"""About how many bytes go into one `Submit`; the server decodes one while the next is encoded."""
_TASK_BYTES = 160
_MEMBER_BYTES = 4
_OBJECT_BYTES = 60


class SessionEncoder:
    """The encoder of one session: adds the paths and modules of this process that the server does not know yet.

    Parameters
    ----------
    surroundings : Surroundings
    has_other_hosts : bool
        Whether governors may be on other hosts, which need the sources of modules.
    """

    def __init__(self, surroundings: Surroundings, has_other_hosts: bool) -> None:
        self._surroundings = surroundings
        self._has_other_hosts = has_other_hosts

    def _around(self) -> tuple[SessionEnv | None, list[UserModule]]:
        """The client's paths if they have changed, and the modules that the server does not have."""
        found = self._surroundings
        return found.environment(), found.modules() if self._has_other_hosts else []

    def encode(self, mirror: SessionMirror, cut: Sequence[Record]) -> list[Submit]:
        """The messages that submit these records."""
        env, modules = self._around()
        return encode(0, mirror.session_id, cut, mirror.persistent, env, modules)

    def encode_retry(
        self,
        mirror: SessionMirror,
        tasks: list[ID] | None,
        new: list[ObjectRecord],
        functions: list[tuple[ID, ID]],
    ) -> Retry:
        """The message that runs failed tasks again."""
        env, modules = self._around()
        specs, constants = [record.spec for record in new], [constant_of(record) for record in new]
        return Retry(0, mirror.session_id, tasks, specs, constants, functions, env, modules)

    def refused(self) -> None:
        """The server did not take what was encoded last."""
        self._surroundings.refused()

    def describe(self, record: TaskRecord) -> str:
        """Where a task was made."""
        return describe(record.made)


def encode(
    request: int,
    session_id: int,
    records: Sequence[Record],
    with_sites: bool = False,
    env: SessionEnv | None = None,
    modules: Sequence[UserModule] = (),
) -> list[Submit]:
    """The messages that submit `records`; all but the last say that more will follow. With `with_sites` they also tell
    where the tasks were made."""
    pieces: list[Submit] = []
    for module in modules:
        pieces.append(Submit(request, session_id, [], [], [], [], True, [], [], None, [module]))
    piece = Submit(request, session_id, [], [], [], [], False, [], [], env)
    tasks, objects, constants, keep = piece.tasks, piece.objects, piece.constants, piece.keep
    size = 0
    for record, run in runs_of(records):
        if size > PIECE_BYTES:
            piece.more = True
            pieces.append(piece)
            piece = Submit(request, session_id, [], [], [], [], False, [], [])
            tasks, objects, constants, keep = piece.tasks, piece.objects, piece.constants, piece.keep
            size = 0
        if run:
            family = family_of(run)
            family.after = len(tasks)
            piece.families.append(family)
            size += _TASK_BYTES + sum(map(len, family.args)) + _MEMBER_BYTES * len(family.args)
        elif isinstance(record, TaskRecord):
            spec = record.spec
            config = spec.config
            tasks.append(spec)
            size += _TASK_BYTES + (len(config.args) if type(config) is PyConfig else _config_bytes(config))
            for output in record.outputs:
                objects.append(output.spec)
                size += _OBJECT_BYTES
                if output.kept:
                    keep.append(output.spec.id)
        else:
            objects.append(record.spec)
            constant = constant_of(record)
            constants.append(constant)
            size += _OBJECT_BYTES + (constant.location.size if isinstance(constant.location, Inline) else 0)
            if record.kept:
                keep.append(record.spec.id)
    pieces.append(piece)
    if with_sites:
        _add_sites(pieces, {record.spec.id: record.made for record in records if isinstance(record, TaskRecord)})
    return pieces


def runs_of(records: Sequence[Record]) -> Iterator[tuple[Record, list[TaskRecord]]]:
    """The records one by one, or where several tasks differ by their arguments only, as calls in a loop do, the first
    of these and all of them."""
    run: list[TaskRecord] = []
    size = 0
    for record in records:
        if isinstance(record, TaskRecord):
            if run and size < PIECE_BYTES and _continues(run, record):
                run.append(record)
                size += len(record.spec.config.args) + _MEMBER_BYTES
                continue
            if run:
                yield run[0], run if len(run) > 1 else []
            run, size = [record], 0
            continue
        if run:
            yield run[0], run if len(run) > 1 else []
            run = []
        yield record, []
    if run:
        yield run[0], run if len(run) > 1 else []


def _continues(run: list[TaskRecord], record: TaskRecord) -> bool:
    """Whether a task is the next one of a family."""
    first = run[0]
    spec, other = record.spec, first.spec
    config, same = spec.config, other.config
    outputs = first.outputs
    number = other.id.id + len(run) * (len(outputs) + 1)
    return (
        spec.id.id == number
        and type(config) is PyConfig
        and type(same) is PyConfig
        and spec.function == other.function
        and spec.function is not None
        and not spec.inputs
        and not other.inputs
        and spec.name == other.name
        and spec.resources == other.resources
        and spec.options == other.options
        and spec.user == other.user
        and config.load == same.load
        and config.encode == same.encode
        and config.plain == same.plain
        and config.seed == same.seed
        and not (config.types or config.sources or config.read_only or config.stand_ins)
        and not (same.types or same.sources or same.read_only or same.stand_ins)
        and len(record.outputs) == len(outputs)
        and all(_is_like(own, outputs[i], number + 1 + i) for i, own in enumerate(record.outputs))
    )


def _is_like(record: ObjectRecord, other: ObjectRecord, number: int) -> bool:
    spec, known = record.spec, other.spec
    return (
        spec.id.id == number
        and record.kept == other.kept
        and spec.label == known.label
        and spec.content_type == known.content_type
        and spec.data_type == known.data_type
        and spec.size_hint == known.size_hint
        and spec.user == known.user
    )


def family_of(run: Sequence[TaskRecord]) -> Family:
    """Tasks that `runs_of` found to be one family."""
    first = run[0]
    outputs = first.outputs
    return Family(
        msgspec.structs.replace(first.spec, config=msgspec.structs.replace(first.spec.config, args=b"")),
        [output.spec for output in outputs],
        [record.spec.config.args for record in run],
        [place for place, output in enumerate(outputs) if output.kept],
    )


def _add_sites(pieces: list[Submit], made: dict[ID, Site]) -> None:
    texts: dict[int, tuple[str, str]] = {}  # tasks of one loop share one site
    for piece in pieces:
        places: dict[tuple[str, str], int] = {}

        piece.made += [_place_of(made[spec.id], texts, places) for spec in piece.tasks]
        for family in piece.families:
            (session_id, number), stride = family.spec.id, len(family.outputs) + 1
            ids = [ID(session_id, number + stride * place) for place in range(len(family.args))]
            found = [_place_of(made[id], texts, places) for id in ids]
            family.made = found[:1] if len(set(found)) == 1 else found
        piece.sites.extend(places)


def _place_of(site: Site, texts: dict[int, tuple[str, str]], places: dict[tuple[str, str], int]) -> int:
    text = texts.get(id(site))
    if text is None:
        text = texts[id(site)] = told(site)
    return places.setdefault(text, len(places))


def constant_of(record: ObjectRecord) -> Constant:
    """A constant as it is told in a message."""
    value = record.value
    assert value is not None
    content_size = None if value.content_size == value.size else value.content_size
    location: Inline | Upload
    if value.name:
        location = Upload(value.name, value.size, value.checksum)
    else:
        assert value.data is not None
        location = Inline(value.data)
    return Constant(record.spec.id, location, content_size, record.ephemeral, value.encoded)


def _config_bytes(config: Any) -> int:
    if config is None:
        return 0
    if type(config) is ExecuteConfig:
        return sum(map(len, config.args)) + 40 * (len(config.inputs) + len(config.outputs))
    return len(msgspec.msgpack.encode(config))
