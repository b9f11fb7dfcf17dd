"""The shared language of Rain's processes: pure modules that every part imports.

The names that users know are offered here too, lazily, so that importing a pure module of this package loads nothing
else.
"""

from __future__ import annotations

from rain.lazy_names import offered

TYPE_CHECKING = False  # see rain.lazy_names
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
    from rain.common.spec import Attempt as Attempt
    from rain.common.spec import ObjectInfo as ObjectInfo
    from rain.common.spec import ObjectSpec as ObjectSpec
    from rain.common.spec import ProcessEnd as ProcessEnd
    from rain.common.spec import TaskInfo as TaskInfo
    from rain.common.spec import TaskSpec as TaskSpec
    from rain.common.spec import TaskSpecInput as TaskSpecInput
    from rain.common.states import DataObjectState as DataObjectState
    from rain.common.states import DataType as DataType
    from rain.common.states import TaskState as TaskState
    from rain.objects.data_instance import DataInstance as DataInstance
else:
    __getattr__, __dir__, __all__ = offered(__name__)
