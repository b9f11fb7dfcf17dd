"""Rain: distributed task graphs for people who live in notebooks.

Everything a user needs is here, loaded when it is first used: importing `rain` loads no server, no widget, no tornado.

Examples
--------
>>> from rain import Client, blob, tasks
>>> with Client.local(cpus=2) as client, client.new_session("hello") as session:
...     session.run(tasks.Concat([blob("Hello "), blob("world!")]))
b'Hello world!'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "Client": "rain.client.client",
    "Session": "rain.client.session",
    "get_active_session": "rain.client.active_session",
    "Task": "rain.client.task",
    "DataObject": "rain.client.data",
    "blob": "rain.client.data",
    "pickled": "rain.client.data",
    "directory": "rain.client.data",
    "Input": "rain.client.io_spec",
    "InputBase": "rain.client.io_spec",
    "InputDir": "rain.client.io_spec",
    "Output": "rain.client.io_spec",
    "OutputBase": "rain.client.io_spec",
    "OutputDir": "rain.client.io_spec",
    "Program": "rain.client.program",
    "Remote": "rain.client.remote",
    "remote": "rain.client.remote",
    "Context": "rain.executor.context",
    "DataInstance": "rain.objects.data_instance",
    "LabeledList": "rain.common.labeled_list",
    "ID": "rain.common.ids",
    "DataType": "rain.common.states",
    "TaskState": "rain.common.states",
    "DataObjectState": "rain.common.states",
    "RainException": "rain.common.errors",
    "TaskException": "rain.common.errors",
    "TaskCancelled": "rain.common.errors",
    "SessionException": "rain.common.errors",
    "ProtocolError": "rain.common.errors",
    "ResourceError": "rain.common.errors",
    "RainWarning": "rain.common.errors",
}
_MODULES = {"tasks": "rain.client.tasks"}

__all__ = ["__version__", *_WHERE, *_MODULES]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is not None:
        value: Any = importlib.import_module(module)
    elif name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    else:
        raise AttributeError(f"module 'rain' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from rain.client import tasks as tasks
    from rain.client.active_session import get_active_session as get_active_session
    from rain.client.client import Client as Client
    from rain.client.data import DataObject as DataObject
    from rain.client.data import blob as blob
    from rain.client.data import directory as directory
    from rain.client.data import pickled as pickled
    from rain.client.io_spec import Input as Input
    from rain.client.io_spec import InputBase as InputBase
    from rain.client.io_spec import InputDir as InputDir
    from rain.client.io_spec import Output as Output
    from rain.client.io_spec import OutputBase as OutputBase
    from rain.client.io_spec import OutputDir as OutputDir
    from rain.client.program import Program as Program
    from rain.client.remote import Remote as Remote
    from rain.client.remote import remote as remote
    from rain.client.session import Session as Session
    from rain.client.task import Task as Task
    from rain.common.errors import ProtocolError as ProtocolError
    from rain.common.errors import RainException as RainException
    from rain.common.errors import RainWarning as RainWarning
    from rain.common.errors import ResourceError as ResourceError
    from rain.common.errors import SessionException as SessionException
    from rain.common.errors import TaskCancelled as TaskCancelled
    from rain.common.errors import TaskException as TaskException
    from rain.common.ids import ID as ID
    from rain.common.labeled_list import LabeledList as LabeledList
    from rain.common.states import DataObjectState as DataObjectState
    from rain.common.states import DataType as DataType
    from rain.common.states import TaskState as TaskState
    from rain.executor.context import Context as Context
    from rain.objects.data_instance import DataInstance as DataInstance
