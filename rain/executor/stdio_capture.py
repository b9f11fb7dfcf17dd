"""What a task writes to stdout and stderr, by Python or by C, its children included.

Theory of operation
-------------------
File descriptors 1 and 2 of an executor are two memory files that its governor holds too, so that what a killed task
wrote is not lost. Both are emptied after each task that wrote something, so they hold the output of one task only. A
task that writes without end does not fill the memory: `trim`, called now and then from the control thread, gives back
the pages of all but the tail.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys

from rain.common.limits import TASK_OUTPUT_BYTES_MAX
from rain.processes.logs import give_back

STDOUT, STDERR = 1, 2
_TRIM_BYTES = 16 * TASK_OUTPUT_BYTES_MAX
_LINE_BUFFERED = 1
_lseek, _CURRENT = os.lseek, os.SEEK_CUR

_libc = ctypes.CDLL(None)
_libc.fflush.argtypes = [ctypes.c_void_p]
_libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


class StdioCapture:
    """Captures file descriptors 1 and 2; make one per process, once they are the memory files."""

    def __init__(self) -> None:
        # Duplicates share the position with 1 and 2, whatever a task makes of those numbers.
        self._files = {fd: os.dup(fd) for fd in (STDOUT, STDERR)}
        self._file, self._error_file = self._files[STDOUT], self._files[STDERR]
        self._stdout = _text_stream(STDOUT)
        self._stderr = _text_stream(STDERR)
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._stderr  # type: ignore[misc]
        # C code writes its output line by line too, so that it is not lost when the process is killed.
        _libc.setvbuf(ctypes.c_void_p.in_dll(_libc, "stdout"), None, _LINE_BUFFERED, 0)
        _capture_logging()
        self._flush_stdout, self._flush_stderr = self._stdout.flush, self._stderr.flush
        self._flush_c = _libc.fflush
        self._trimmed = {STDOUT: 0, STDERR: 0}
        self._sizes = {STDOUT: 0, STDERR: 0}

    @property
    def written(self) -> tuple[int, int]:
        """How many bytes each stream had in all when the last `take` gave their tails."""
        return self._sizes[STDOUT], self._sizes[STDERR]

    def renew(self) -> None:
        """Make 1 and 2 the memory files again, should a task have closed or replaced them."""
        for number, file in self._files.items():
            os.dup2(file, number)

    def take(self) -> tuple[bytes, bytes]:
        """The tails of stdout and stderr since the last `take`, at most `TASK_OUTPUT_BYTES_MAX` bytes of each."""
        if self.is_quiet():
            return b"", b""
        return self._take(STDOUT), self._take(STDERR)

    def is_quiet(self) -> bool:
        """Whether nothing was written since the last `take`."""
        if sys.stdout is not self._stdout or sys.stderr is not self._stderr:
            self._restore()
        try:
            self._flush_stdout()
            self._flush_stderr()
        except (ValueError, OSError):
            self._restore()
        self._flush_c(None)
        return not (_lseek(self._file, 0, _CURRENT) or _lseek(self._error_file, 0, _CURRENT))

    def _take(self, number: int) -> bytes:
        file = self._files[number]
        size = self._sizes[number] = os.lseek(file, 0, os.SEEK_CUR)
        if not size:
            return b""
        start = max(0, size - TASK_OUTPUT_BYTES_MAX)
        tail = os.pread(file, size - start, start)
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        self._trimmed[number] = 0
        return tail

    def trim(self) -> None:
        """Give back memory that an endless output takes. Any thread may call this."""
        for number, trimmed in self._trimmed.items():
            file = self._files[number]
            size = os.lseek(file, 0, os.SEEK_CUR)
            if size - trimmed > 2 * _TRIM_BYTES:
                give_back(file, trimmed, size - _TRIM_BYTES)
                self._trimmed[number] = size - _TRIM_BYTES

    def _restore(self) -> None:
        """Undo what the task did to descriptors 1 and 2, `sys.stdout` and `sys.stderr`."""
        self.renew()
        for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
            ours = getattr(self, f"_{name}")
            try:
                getattr(sys, name).flush()
                ours.flush()
            except Exception:  # the task put another object there, or closed the stream
                pass
            if ours.closed:
                ours = _text_stream(number)
                setattr(self, f"_{name}", ours)
            setattr(sys, name, ours)
        self._flush_stdout, self._flush_stderr = self._stdout.flush, self._stderr.flush


def _text_stream(fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(fd, "wb", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _ToStderr(logging.Handler):
    """Writes to the stream that `sys.stderr` is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # as logging's own handlers do
            self.handleError(record)


def _capture_logging() -> None:
    """Log records of INFO and above go to stderr, until the user configures logging.

    A handler of the root logger would make `logging.basicConfig` do nothing; the handler of last resort does not.
    """
    handler = _ToStderr(logging.INFO)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.lastResort = handler
    logging.getLogger().setLevel(logging.INFO)
