"""Inputs of a Python task as the values that its code sees: data instances, or what they load to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.location import Inline, LocalFile
from rain.common.protocol.messages import ExecutorInput
from rain.common.spec import ObjectSpec
from rain.common.task_configs import PyConfig
from rain.executor.readonly import ReadOnly
from rain.objects import memory
from rain.objects.content_types.codecs import decode_value
from rain.objects.content_types.registry import merge_content_types
from rain.objects.data_instance import WRITABLE_FALSE, DataInstance
from rain.objects.dirtree import file_identities
from rain.objects.files import local_file
from rain.objects.pickling.buffers import LARGE_BYTES
from rain.objects.readers import FileReader, ObjectReader, TreeReader, reader_of

_PICKLES = frozenset({"pickle", "cloudpickle"})

Used = tuple[ID, str | None, bool]
"""Which object a placeholder stood for, where that was, and whether it was loaded."""


class InputValues:
    """One task's inputs: for each placeholder in its function and arguments a data instance, or what that loads to."""

    __slots__ = (
        "_inputs",
        "_inside",
        "_load",
        "_not_writable",
        "_plain",
        "_read_only",
        "_stand_ins",
        "_types",
        "_values",
        "used",
    )

    def __init__(self, inputs: Mapping[ID, ExecutorInput], config: PyConfig, read_only: ReadOnly) -> None:
        self._inputs = inputs
        self._not_writable = {ID(*pair) for pair in config.read_only}
        self._read_only = read_only
        self._plain = config.plain
        self._load = config.load if isinstance(config.load, bool) else {ID(*pair) for pair in config.load}
        self._stand_ins = {ID(*named): ID(*stands) for named, stands in config.stand_ins}
        self._types = {ID(session_id, number): name for session_id, number, name in config.types}
        self._values: dict[ID, Any] = {}
        self._inside: dict[ID, tuple[str, frozenset[tuple[str, int, int, int]]]] = {}
        self.used: dict[ID, Used] = {}

    def value(self, id: ID) -> Any:
        """What stands for the object `id`.

        Raises
        ------
        RainException
            If it is no input of the task, or cannot be loaded.
        """
        if id not in self._values:
            value = self._input(id)
            if value is None:
                raise RainException(f"data object {id} is used by the task but is not one of its inputs")
            loaded = self._is_loaded(value)
            if loaded and (small := self._small_pickle(value)) is not None:
                self.used[id] = (value.spec.id, None, True)
                self._values[id] = self._unpickled(value, small)
                return self._values[id]
            self.used[id] = (value.spec.id, value.path, loaded)
            if value.path is not None and not loaded:  # the task may learn the path, by `link`
                self._read_only.protect(os.path.dirname(value.path))
                if value.spec.data_type == "dir" and not self._read_only.guards(value.path):
                    self._inside[id] = value.path, file_identities(value.path)
            instance = DataInstance(reader_of_input(value), self._spec(value), value.info)
            self._values[id] = self._loaded(instance) if loaded else instance
        return self._values[id]

    def _small_pickle(self, value: ExecutorInput) -> bytes | None:
        """The bytes of an input that is seen at a glance to be a pickle without large buffers, so that nothing in its
        value can be a view of them; None of any other."""
        location = value.location
        if type(location) is not Inline or len(location.data) >= LARGE_BYTES or self._types:
            return None
        return location.data if (value.info.content_type or value.spec.content_type) in _PICKLES else None

    def _unpickled(self, value: ExecutorInput, data: bytes) -> Any:
        """What a data instance of that would load: for each small input nothing else is made."""
        if value.spec.id in self._not_writable:
            memory.why_read_only = WRITABLE_FALSE
        try:
            return decode_value(data, value.info.content_type or value.spec.content_type)
        except RainException as error:
            raise _not_loaded(error) from error

    def changed_inside(self) -> dict[ID, str]:
        """Directories whose files are not what they were when the task got them, as `damaged` tells."""
        return {
            id: "was changed: its files are not what they were"
            for id, (path, identities) in self._inside.items()
            if not os.path.islink(path) and file_identities(path) != identities
        }

    def _loaded(self, instance: DataInstance) -> Any:
        if self._plain and instance.content_type is None:
            return instance.get_bytes()
        return _loaded(instance, instance.spec is None or instance.spec.id not in self._not_writable)

    def _spec(self, value: ExecutorInput) -> ObjectSpec:
        """The object's spec, with the content type that the task declares of it where it has none."""
        declared = self._types.get(value.spec.id)
        if declared is None:
            return value.spec
        try:
            merge_content_types(value.info.content_type, declared)
        except RainException as error:
            raise RainException(f"input {(value.label or value.spec.label)!r} ({value.spec.id}): {error}") from None
        return msgspec.structs.replace(value.spec, content_type=declared)

    def is_as(self, id: ID, used: Used) -> bool:
        """Whether the value of `id` can be the one that it was when `self.used` said `used`; what was loaded cannot,
        since the task that got it may have written to it."""
        value = self._input(id)
        return value is not None and used == (value.spec.id, value.path, False) and not self._is_loaded(value)

    def _input(self, id: ID) -> ExecutorInput | None:
        """The input that is meant by an object in a pickle."""
        return self._inputs.get(self._stand_ins.get(id, id))

    def _is_loaded(self, value: ExecutorInput) -> bool:
        if isinstance(self._load, bool):
            return self._load and value.spec.data_type != "dir"
        return value.spec.id in self._load


def _loaded(instance: DataInstance, writable: bool) -> Any:
    try:
        return instance.load(writable=writable)
    except RainException as error:
        raise _not_loaded(error) from error


def _not_loaded(error: RainException) -> RainException:
    return RainException(f"an input of the task cannot be loaded: {error}")


def reader_of_input(value: ExecutorInput) -> ObjectReader:
    """What reads an input, wherever the store has moved it."""
    is_dir = value.spec.data_type == "dir"
    if isinstance(value.location, Inline):
        return reader_of(value.location, is_dir, value.info.size)
    name, id, path = value.label or value.spec.label, value.spec.id, value.path

    def moved() -> LocalFile | None:
        # When the store moves an object to disk it leaves a link; it may do so at any time.
        try:
            return local_file(os.path.realpath(path)) if path is not None else None
        except OSError:
            return None

    def look() -> ObjectReader:
        if path is not None:
            try:
                real = os.path.realpath(path)
                return TreeReader(real, look) if is_dir else FileReader(real, look, moved)
            except OSError:
                pass
        raise RainException(
            f"input {name!r} ({id}) is no longer on this governor; data instances are for the task that got them: what "
            "later tasks shall find in ctx.cache must be what was loaded or read"
        )

    return look()
