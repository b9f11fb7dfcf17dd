"""Views of objects, made in an executor because they need loaded values (see `rain.governor.views.viewing`).

A view is a function of the data and of a request, both opaque to governor and server. Its module is imported when the
view is first asked for, and may keep results between requests: the process makes views of one kind, for one session.
"""

from __future__ import annotations

import importlib
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from rain.common.errors import RainException
from rain.common.formatting import shorten
from rain.common.limits import VIEW_BYTES_MAX, VIEW_MEMORY_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorTask, OutputResult, TaskResult
from rain.common.spec import ObjectInfo, TaskError, TaskInfo
from rain.common.task_configs import ViewConfig, read_config
from rain.executor.python.inputs import reader_of_input
from rain.objects.content_types.registry import types_by_extension
from rain.objects.data_instance import DataInstance
from rain.objects.memory import own_sizes

View: TypeAlias = Callable[[DataInstance, bytes], bytes]

VIEWS = {
    "preview": "rain.executor.views.preview:preview",
    "surroundings": "rain.executor.views.surroundings:surroundings",
    "table": "rain.executor.views.tables.view:table",
}
"""Module and function of each view, by the name that is asked for."""
_OOM_SCORE = "1000"  # when memory runs out, the kernel kills this process first

_limited = False


def run_view(task: ExecutorTask) -> TaskResult:
    """Make the view that a task asks for; the answer is its output, inline. Errors are told as text."""
    info = TaskInfo(attempts=task.attempt)
    result = TaskResult(task.spec.id, task.attempt, info)
    try:
        _limit()
        data = _made(task)
        result.outputs = [OutputResult(task.spec.id, ObjectInfo(size=len(data)), Inline(data))]
    except RainException as error:
        result.error = TaskError("rain", shorten(str(error)))
    except MemoryError:
        text = f"there is not enough memory (VIEW_MEMORY_BYTES_MAX is {VIEW_MEMORY_BYTES_MAX})"
        result.error = TaskError("rain", text)
    except Exception as error:
        result.error = TaskError("rain", shorten(f"{type(error).__name__}: {error}"))
    return result


def _made(task: ExecutorTask) -> bytes:
    config = read_config(task.spec.config, ViewConfig)
    if config.what not in VIEWS:
        raise RainException(f"there is no view {config.what!r}, but {', '.join(VIEWS)}")
    module, _, name = VIEWS[config.what].partition(":")
    try:
        view: View = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise RainException(f"it takes {error.name}, in the governor's Python: pip install 'rain[arrow]'") from None
    value = task.inputs[0]
    instance = DataInstance(reader_of_input(value), value.spec, value.info)
    if config.path is not None:
        path = os.fsdecode(config.path)
        reader = instance.reader.file(path)
        kind = types_by_extension().get(path.rpartition(".")[2].lower())
        info = ObjectInfo(size=reader.size, content_type=kind and kind[0])
        instance = DataInstance(reader, None, info)
    data = view(instance, config.asked)
    if len(data) > VIEW_BYTES_MAX:
        raise RainException(f"the view has {len(data)} bytes, over the limit VIEW_BYTES_MAX ({VIEW_BYTES_MAX})")
    return data


def _limit() -> None:
    """Bound the memory of this process, once; mapped files do not count."""
    global _limited
    if _limited:
        return
    _limited = True
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = own_sizes().get("VmData", 0) + VIEW_MEMORY_BYTES_MAX
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)
