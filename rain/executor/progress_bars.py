"""tqdm's bars in tasks: what they count is the task's progress, and their text does not fill its output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from rain.executor.progress import Teller

_MODULE = "tqdm.std"


class BarFinder(MetaPathFinder):
    """Lets the finders behind it find `tqdm.std`, and has its bars tell instead of print once it is loaded.

    The outermost bar on stdout or stderr is told; bars inside it are not, nor do they print. At its end a bar prints
    its last line, as ever.

    Parameters
    ----------
    teller : Teller
    """

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def install(self) -> None:
        """Stand in front of the others."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :] if self in sys.meta_path else ():
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                self._follow(spec)
                return spec
        return None

    def _follow(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            self.adopt(module)

        loader.exec_module = exec_module

    def adopt(self, module: ModuleType) -> None:
        """Have the bars of `tqdm.std` tell."""
        kind: Any = getattr(module, "tqdm", None)
        printed = getattr(kind, "display", None)
        if printed is None:
            return
        teller = self._teller

        def display(bar: Any, msg: str | None = None, pos: int | None = None) -> Any:
            """As tqdm's, but told instead of printed while the bar runs."""
            running = teller.running
            if bar.disable or running is None or not _is_ours(bar.fp):
                return printed(bar, msg, pos)
            if not (abs(bar.pos) if pos is None else pos):
                teller.progress(running, float(bar.n), None if bar.total is None else float(bar.total), _note_of(bar))
            return True

        kind.display = display


def _is_ours(file: Any) -> bool:
    """Whether a bar's file is what the task's output is captured from."""
    return getattr(file, "_wrapped", file) in (sys.stderr, sys.stdout)


def _note_of(bar: Any) -> str:
    parts = (str(bar.desc or "").removesuffix(": "), str(bar.postfix or ""))
    return ", ".join(filter(None, parts)).partition("\n")[0][:200]
