"""Calling a remote function in this process, for trying and debugging."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rain.client.data import DataObject, value_of
from rain.client.functions.pickling import collecting, dumps, generators_ran, is_plain
from rain.client.handles import Handle, as_object, record_of
from rain.client.operations.fetch import constant_instance
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.protocol.messages import ExecutorSetup, Node
from rain.common.spec import TaskInfo, TaskSpec
from rain.common.states import DataType
from rain.common.task_configs import PYTHON
from rain.objects.data_instance import DataInstance
from rain.objects.pickling.own_classes import loads
from rain.objects.pickling.placeholders import resolving

_cache: dict[Any, Any] = {}


class _How(NamedTuple):
    """How data objects of an argument arrive."""

    load: bool
    writable: bool
    plain: bool

    def of(self, instance: DataInstance) -> Any:
        if not self.load or instance.data_type is not DataType.BLOB:
            return instance
        if self.plain and instance.content_type is None:
            return instance.get_bytes()
        return instance.load(writable=self.writable)


class _Attempt(NamedTuple):
    """The attempt that the context of a local call reports."""

    spec: TaskSpec
    info: TaskInfo
    nodes: Sequence[Node] = ()


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    """The folder in which staged data of local calls lie until the process ends."""
    return tempfile.TemporaryDirectory(prefix="rain-call-")


def call(
    function: Callable[..., Any],
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    loads: Sequence[tuple[bool, bool]],
    plain: bool = False,
) -> Any:
    """The result of `function`, called with a context, which a `plain` function does not get as an argument; `loads`
    says which arguments arrive as loaded values, and whether these may be written."""
    from rain.executor.context import Context, Shared, running
    from rain.executor.staging import Staging

    flags = iter([_How(*load, plain) for load in loads])
    given = [_value(value, next(flags), name) for value in args]
    named = {key: _value(value, next(flags), name) for key, value in kwargs.items()}
    bare = _resolved(function, _How(plain, True, plain))
    folder = _folder().name
    setup = ExecutorSetup(0, 0, "local", folder, folder, folder, sys.maxsize, None, os.getcwd(), {}, {"cpus": 1})
    spec = TaskSpec(ID(0, 0), PYTHON, name=name, resources={"cpus": 1})
    staging = Staging(setup, f"call-{os.urandom(6).hex()}")
    context = Context(Shared(bare, _cache, staging), _Attempt(spec, TaskInfo(governor="local", attempts=1)))
    with running(context):
        result = bare(*given, **named) if plain else bare(context, *given, **named)
    if context.info.error is not None:
        raise RainException(f"{name}: {context.info.error}")
    return result


def _value(value: Any, how: _How, name: str) -> Any:
    """An argument as the function gets it."""
    if isinstance(value, Handle):
        return _instance(as_object(value, f"an argument of {name}"), how)
    if isinstance(value, DataInstance):
        return how.of(value)
    return value if is_plain(value) else _resolved(value, how)


def _instance(obj: DataObject, how: _How) -> Any:
    constant = value_of(obj)
    if constant is not None and (constant.data is not None or constant.readable):
        instance = constant_instance(record_of(obj), constant)
    else:
        instance = obj.fetch()
    return how.of(instance)


def _resolved(value: Any, how: _How) -> Any:
    """`value`; if it holds data objects, a copy that holds their data."""
    try:
        with collecting() as found:
            data = dumps(value)
            used_up = generators_ran()
    except Exception:  # only the arguments of tasks need be picklable
        return value
    if not found and not used_up:
        return value
    objects = {obj.id: obj for obj in found}
    with resolving(lambda id: _instance(objects[id], how)):
        return loads(data)
