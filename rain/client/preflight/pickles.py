"""What a pickle names: texts, paths and modules. Nothing is unpickled."""

from __future__ import annotations

import os
import pickletools
from collections.abc import Iterator

SCAN_BYTES_MAX = 1 << 20
"""What is further behind in a pickle is not looked at."""
_PUSHED = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_GOT = frozenset({"BINGET", "LONG_BINGET", "GET"})
_PUT = frozenset({"BINPUT", "LONG_BINPUT", "PUT"})


class Named:
    """What a pickle names.

    Attributes
    ----------
    texts : list of str
        Its texts; the parts of a `pathlib.Path` are joined.
    modules : list of str
    """

    def __init__(self, data: bytes) -> None:
        self.texts: list[str] = []
        self.modules: list[str] = []
        self._memo: dict[int, str | bool] = {}  # a text; or whether it is a class of paths
        self._last: list[str] = []  # the texts that were pushed one after the other
        self._is_path = False
        try:
            for name, argument in _steps(data):
                self._step(name, argument)
        except (ValueError, IndexError, UnicodeDecodeError):  # its end was cut off
            pass
        self._end()

    def _step(self, name: str, argument: object) -> None:
        if name in _PUSHED:
            self._last.append(str(argument))
        elif name in _GOT and isinstance(argument, int):
            known = self._memo.get(argument)
            if isinstance(known, str):
                self._last.append(known)
            else:
                self._end()
                self._is_path = bool(known)
        elif name == "MEMOIZE" or name in _PUT:
            number = len(self._memo) if name == "MEMOIZE" else int(str(argument))
            self._memo[number] = self._last[-1] if self._last else self._is_path
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._global(str(argument) if name == "GLOBAL" else "")
        elif name not in ("MARK", "FRAME"):
            self._end()

    def _global(self, spelled: str) -> None:
        named = spelled.split(" ") if spelled else self._last[-2:]
        if not spelled:
            del self._last[-2:]
        self._end()
        if len(named) == 2:
            self.modules.append(named[0])
            self._is_path = named[0].startswith("pathlib") and named[1].endswith("Path")

    def _end(self) -> None:
        if self._last:
            self.texts += [os.path.join(*self._last)] if self._is_path else self._last
            self._last = []
        self._is_path = False


def _steps(data: bytes) -> Iterator[tuple[str, object]]:
    for opcode, argument, _ in pickletools.genops(data[:SCAN_BYTES_MAX]):
        yield opcode.name, argument
