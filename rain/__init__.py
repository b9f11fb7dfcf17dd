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

from rain import joblib_backend
from rain.lazy_names import offered

__version__ = "0.1.0"

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
    from rain.client.plain.function import task as task
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
    from rain.executor.context import current_task as current_task
    from rain.executor.random_numbers import rng as rng
    from rain.interfaces.dask import dask_get as dask_get
    from rain.objects.data_instance import DataInstance as DataInstance
else:
    __getattr__, __dir__, __all__ = offered(__name__)
    __all__ += ["__version__"]
    joblib_backend.offer()
