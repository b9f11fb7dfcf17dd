"""The client: declare tasks and data objects, submit them, wait for them, fetch results.

Its names are loaded when they are first used, but `remote` and `task`: those are names of modules too, which would hide
them.
"""

from __future__ import annotations

from rain.client.plain.function import task as task
from rain.client.remote import Remote as Remote
from rain.client.remote import remote as remote
from rain.lazy_names import offered

TYPE_CHECKING = False  # see rain.lazy_names
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
    from rain.client.plain.files import files as files
    from rain.client.plain.function import PlainFunction as PlainFunction
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
else:
    __getattr__, __dir__, __all__ = offered(__name__)
    __all__ += ["Remote", "remote", "task"]
