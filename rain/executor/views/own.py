"""Previews that the executor of tasks makes of its own results, once it has nothing else to do: in bounded time.

The value is loaded from what was stored, as for any other preview: what the task still holds of it may have changed
since. A timer interrupts what runs in Python every `PREVIEW_YIELD_S`; code in C that does not return the governor ends,
with this process.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rain.common.limits import PREVIEW_LOADED_BYTES_MAX, PREVIEW_OWN_S, PREVIEW_WAIT_S, PREVIEW_YIELD_S
from rain.common.protocol.messages import ExecutorInput, OwnPreview
from rain.executor.python.inputs import reader_of_input
from rain.executor.views.preview import preview
from rain.objects.data_instance import DataInstance
from rain.objects.pickling.buffers import mapped_bytes

_IMPORTS = "<frozen importlib._bootstrap>"


class _GivenUp(BaseException):
    """The preview has taken too long."""


def own_preview(value: ExecutorInput, is_wanted: Callable[[], bool]) -> OwnPreview:
    """The preview of an object that this executor made.

    Parameters
    ----------
    value : ExecutorInput
        The object as it was stored.
    is_wanted : callable
        Whether this executor is wanted for something else.
    """
    answer = OwnPreview(value.spec.id)
    watch = _Watch(is_wanted)
    try:
        instance = DataInstance(reader_of_input(value), value.spec, value.info)
        if not instance.reader.is_dir and _is_cheap(instance):
            with watch, _no_figures_left():
                answer.data = preview(instance, b"")
    except BaseException:  # whatever the value's own code raises: there is no preview then
        answer.data = b""
    finally:
        watch.stop()
    answer.given_up = watch.given_up
    return answer


def _is_cheap(instance: DataInstance) -> bool:
    size = instance.reader.size
    return size <= PREVIEW_LOADED_BYTES_MAX or size - mapped_bytes(instance.reader.buffer()) <= PREVIEW_LOADED_BYTES_MAX


class _Watch:
    """Raises `_GivenUp` in the block when its time is over: at once if this executor is wanted, and not in an import,
    which cannot be repeated for all modules."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self.given_up = False
        self._is_wanted = is_wanted
        self._on = False

    def __enter__(self) -> None:
        self._began, self._used = time.monotonic(), time.thread_time()
        self._handler = signal.signal(signal.SIGALRM, self._look)
        self._on = True
        self._timer = signal.setitimer(signal.ITIMER_REAL, PREVIEW_YIELD_S, PREVIEW_YIELD_S)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Undo it; to be called once more, as `_GivenUp` may be raised in here."""
        if not self._on:
            return
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, self._handler)
        self._on = False
        left, interval = self._timer  # a task's own, which it has left
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - self._began), 1e-6), interval)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        used, took = time.thread_time() - self._used, time.monotonic() - self._began
        if used < PREVIEW_OWN_S and took < PREVIEW_WAIT_S and not self._is_wanted():
            return
        while frame is not None:
            if frame.f_code.co_filename == _IMPORTS:
                return
            frame = frame.f_back
        self.given_up = True
        raise _GivenUp


@contextmanager
def _no_figures_left() -> Iterator[None]:
    """A figure that was open when it was pickled is open again when it is loaded: the next task shall not find it."""
    before = set(_open_figures())
    try:
        yield
    finally:
        for number in [number for number in _open_figures() if number not in before]:
            sys.modules["matplotlib._pylab_helpers"].Gcf.destroy(number)


def _open_figures() -> list[Any]:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    return list(helpers.Gcf.figs) if helpers is not None else []
