"""Content types ``pickle`` and ``cloudpickle``: any Python value; what reads one of them reads both."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.objects.content_types.content_type import ContentType
from rain.objects.pickling import buffers

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Pickle(ContentType):
    """What `pickle` can do."""

    extensions = ("pkl", "pickle")
    kind = "pickle"
    advice = 'content type "cloudpickle" can do functions, lambdas and classes of a notebook'

    def dump(self, value: Any, name: str, write: Callable[[Any], Any], restart: Callable[[], Any]) -> None:
        buffers.dump(value, write, restart, cloud=name == "cloudpickle")

    def decode(self, data: Buffer, name: str) -> Any:
        return buffers.load(data)

    def parents(self, name: str) -> tuple[str, ...]:
        return ("pickle" if name == "cloudpickle" else "cloudpickle",)

    def merged(self, a: str, b: str) -> str:
        return "cloudpickle"

    def why_not_decoded(self, error: BaseException) -> str:
        if isinstance(error, AttributeError) and "__main__" in str(error):
            return (
                "a pickle only names the classes and functions of a script or notebook: encode such values as "
                '"cloudpickle", for instance blob(value, encode="cloudpickle")'
            )
        if re.search("cuda|nvidia", str(error), re.IGNORECASE) and "out of memory" not in str(error):
            return (
                "the value lies on a GPU, and goes to one when it is loaded: return it from main memory "
                "(tensor.cpu(), cupy.asnumpy(array)) for processes without one"
            )
        if isinstance(error, FileNotFoundError):
            return (
                "the value reads its data from that path when it is used; what crosses hosts and outlives a task is "
                "the folder as a directory object, or the values themselves"
            )
        return ""


class CloudPickle(Pickle):
    """Functions, lambdas and classes of a notebook too."""

    advice = ""
