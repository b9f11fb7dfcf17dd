"""What was made of Arrow's memory, made writable where that memory is.

Arrow's own data are immutable, so its conversions give read-only NumPy arrays even where they are views of memory that
may be written (a copy-on-write mapping). Here such arrays are replaced by writable views of the same memory.
"""

from __future__ import annotations

from typing import Any


class WritableViews:
    """Gives writable views of one memory.

    Parameters
    ----------
    memory : memoryview
        In which the arrays lie; if it is read-only, everything stays as it is.
    """

    def __init__(self, memory: memoryview) -> None:
        import numpy as np

        self._memory = memory
        self._begin = 0 if memory.readonly or not len(memory) else np.frombuffer(memory, np.uint8).ctypes.data
        self._end = self._begin + len(memory)

    def array(self, array: Any) -> Any:
        """`array`, or the writable view of the same data where these lie in the memory."""
        import numpy as np

        if array.flags.writeable or array.dtype.hasobject or not array.size:
            return array
        low = array.ctypes.data
        last = sum((count - 1) * stride for count, stride in zip(array.shape, array.strides, strict=True))
        inside = self._begin <= low and low + last + array.itemsize <= self._end
        if not (self._begin and inside and all(stride > 0 for stride in array.strides)):
            return array
        return np.ndarray(array.shape, array.dtype, self._memory, low - self._begin, array.strides)

    def frame(self, frame: Any) -> Any:
        """`frame`, a new pandas data frame, with writable columns where these lie in the memory: numbers, times and
        durations, and the codes of categories.
        """
        for block in getattr(getattr(frame, "_mgr", None), "blocks", ()):
            values = block.values
            inner = getattr(values, "_ndarray", values)  # of pandas' own arrays that are made of a NumPy one
            if not hasattr(inner, "flags"):
                continue
            view = self.array(inner)
            if view is not inner:
                block.values = view if values is inner else values._from_backing_data(view)
        return frame
