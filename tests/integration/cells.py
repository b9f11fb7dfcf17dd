"""Cells run as a notebook runs them, without a notebook."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rain import Client

interactiveshell = pytest.importorskip("IPython.core.interactiveshell")


class Shell:
    """Runs cells as a notebook does."""

    def __init__(self) -> None:
        self.shell = interactiveshell.InteractiveShell.instance(colors="nocolor")
        self.shell.user_ns.clear()
        self.shell.user_ns["__name__"] = "__main__"
        self.cell("from rain import *")

    def cell(self, source: str) -> str:
        """What running `source` prints, errors included; cells are numbered by the shell."""
        out = io.StringIO()
        with redirect_stdout(out):
            self.shell.run_cell(textwrap.dedent(source).strip() + "\n", store_history=True)
        return out.getvalue()

    @property
    def number(self) -> int:
        """Of the cell that ran last."""
        return int(self.shell.execution_count) - 1


@pytest.fixture
def shell(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    (tmp_path / "local_helper.py").write_text("def boom(x):\n    return x / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shell = Shell()
    with client.new_session("cells") as session, session.bind_only():
        shell.shell.user_ns["session"] = session
        yield shell
    interactiveshell.InteractiveShell.clear_instance()
