"""The arguments of a task's call, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.client.functions.annotations import signature_of
from rain.client.handles import record_of
from rain.common.errors import RainException
from rain.common.task_configs import PYTHON, PyConfig, read_config
from rain.objects.pickling.own_classes import loads
from rain.objects.pickling.placeholders import resolving

if TYPE_CHECKING:
    from rain.client.task import Task


def arguments_of(task: Task) -> dict[str, Any]:
    """The arguments by the names of their parameters; by ``"0"``, ``"1"``, … where the function is not known here.

    Raises
    ------
    RainException
        If they cannot be unpickled here.
    """
    record = record_of(task)
    if record.spec.task_type != PYTHON:
        return {}
    config = read_config(record.spec.config, PyConfig)
    try:
        with resolving(lambda id: task._session._object(id.id)):
            args, kwargs = loads(config.args)
    except Exception as error:
        raise RainException(f"the arguments of {task!r} cannot be loaded here: {error}") from error
    if record.source is None:
        return _numbered(args, kwargs)
    context = () if config.plain else (None,)
    try:
        signature = signature_of(record.source.function)
        found: dict[str, Any] = signature.bind(*context, *args, **kwargs).arguments
    except (TypeError, ValueError):  # written in C, or defined otherwise meanwhile
        return _numbered(args, kwargs)
    if context:
        found.pop(next(iter(signature.parameters)), None)
    return found


def _numbered(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**{str(number): value for number, value in enumerate(args)}, **kwargs}
