"""The client: declare tasks and data objects, submit them, wait for them, fetch results.

Its names are loaded when they are first used, but `remote`: that is the name of a module too, which would hide it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rain.client.remote import Remote, remote

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
    "RainWarning": "rain.common.errors",
}

__all__ = [*_WHERE, "Remote", "remote", "tasks"]


def __getattr__(name: str) -> Any:
    if name == "tasks":
        return importlib.import_module("rain.client.tasks")
    if name not in _WHERE:
        raise AttributeError(f"module 'rain.client' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
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
    from rain.client.session import Session as Session
    from rain.client.task import Task as Task
    from rain.common.errors import RainException as RainException
    from rain.common.errors import RainWarning as RainWarning
    from rain.common.errors import SessionException as SessionException
    from rain.common.errors import TaskCancelled as TaskCancelled
    from rain.common.errors import TaskException as TaskException
    from rain.common.ids import ID as ID
    from rain.common.labeled_list import LabeledList as LabeledList
    from rain.common.states import DataObjectState as DataObjectState
    from rain.common.states import DataType as DataType
    from rain.common.states import TaskState as TaskState
    from rain.objects.data_instance import DataInstance as DataInstance
