"""The shared language of Rain's processes: pure modules that every part imports.

The names that users know are offered here too, lazily, so that importing a pure module of this package loads nothing
else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "ID": "rain.common.ids",
    "LabeledList": "rain.common.labeled_list",
    "DataType": "rain.common.states",
    "TaskState": "rain.common.states",
    "DataObjectState": "rain.common.states",
    "DataInstance": "rain.objects.data_instance",
    "RainException": "rain.common.errors",
    "TaskException": "rain.common.errors",
    "TaskCancelled": "rain.common.errors",
    "SessionException": "rain.common.errors",
    "ProtocolError": "rain.common.errors",
    "ResourceError": "rain.common.errors",
    "RainWarning": "rain.common.errors",
    "TaskSpec": "rain.common.spec",
    "TaskSpecInput": "rain.common.spec",
    "TaskInfo": "rain.common.spec",
    "ObjectSpec": "rain.common.spec",
    "ObjectInfo": "rain.common.spec",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'rain.common' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from rain.common.errors import ProtocolError as ProtocolError
    from rain.common.errors import RainException as RainException
    from rain.common.errors import RainWarning as RainWarning
    from rain.common.errors import ResourceError as ResourceError
    from rain.common.errors import SessionException as SessionException
    from rain.common.errors import TaskCancelled as TaskCancelled
    from rain.common.errors import TaskException as TaskException
    from rain.common.ids import ID as ID
    from rain.common.labeled_list import LabeledList as LabeledList
    from rain.common.spec import ObjectInfo as ObjectInfo
    from rain.common.spec import ObjectSpec as ObjectSpec
    from rain.common.spec import TaskInfo as TaskInfo
    from rain.common.spec import TaskSpec as TaskSpec
    from rain.common.spec import TaskSpecInput as TaskSpecInput
    from rain.common.states import DataObjectState as DataObjectState
    from rain.common.states import DataType as DataType
    from rain.common.states import TaskState as TaskState
