"""From records to messages: a part of a session's graph as `Submit`s, failed tasks and new functions as a `Retry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.families.family import Family
from rain.client.core.families.wire import Members, Single, items_of, members_bytes
from rain.client.core.records import ObjectRecord, Record, TaskRecord
from rain.client.core.session_mirror import SessionMirror
from rain.client.functions.call_sites import describe, told
from rain.client.functions.modules import Surroundings
from rain.common.limits import MIB
from rain.common.location import Inline, Upload
from rain.common.protocol.messages import Constant, Retry, Submit
from rain.common.task_configs import ExecuteConfig, PyConfig

if TYPE_CHECKING:
    from rain.client.functions.call_sites import Site
    from rain.common.ids import ID
    from rain.common.protocol.messages import SessionEnv
    from rain.common.task_configs import UserModule

PIECE_BYTES = 1 * MIB
"""About how many bytes go into one `Submit`; the server decodes one while the next is encoded."""
_TASK_BYTES = 160
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

    def encode(self, mirror: SessionMirror, cut: Sequence[Record | Family]) -> list[Submit]:
        """The messages that submit these records and families."""
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
    records: Sequence[Record | Family],
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
    made: dict[ID, Site] = {}
    members: dict[ID, list[Site]] = {}
    for record in items_of(records, PIECE_BYTES):
        if size > PIECE_BYTES:
            piece.more = True
            pieces.append(piece)
            piece = Submit(request, session_id, [], [], [], [], False, [], [])
            tasks, objects, constants, keep = piece.tasks, piece.objects, piece.constants, piece.keep
            size = 0
        if isinstance(record, Members):
            family = record.family
            family.after = len(tasks)
            piece.families.append(family)
            members[family.spec.id] = record.made
            size += _TASK_BYTES + members_bytes(family.args)
        elif isinstance(record, Single):
            tasks.append(record.spec)
            objects += record.outputs
            made[record.spec.id] = record.made
            size += _TASK_BYTES + len(record.spec.config.args) + _OBJECT_BYTES * len(record.outputs)
            if record.kept:
                keep += record.spec.outputs
        elif isinstance(record, TaskRecord):
            spec = record.spec
            made[spec.id] = record.made
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
        _add_sites(pieces, made, members)
    return pieces


def _add_sites(pieces: list[Submit], made: dict[ID, Site], members: dict[ID, list[Site]]) -> None:
    texts: dict[int, tuple[str, str]] = {}  # tasks of one loop share one site
    for piece in pieces:
        places: dict[tuple[str, str], int] = {}
        piece.made += [_place_of(made[spec.id], texts, places) for spec in piece.tasks]
        for family in piece.families:
            found = [_place_of(site, texts, places) for site in members[family.spec.id]]
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
