"""Which cell is answered with what a task printed."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("IPython")

from rain.common.limits import ECHO_HELD_CHARS_MAX
from rain.notebook.magics.echo import _Echo


class FakeKernel:
    """Remembers what it is asked to send; as in a kernel, threads do not know what it was asked."""

    def __init__(self, live: bool) -> None:
        self._allow_stdin = live
        self._shell_parent: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("shell_parent")
        self.sent: list[tuple[str, str, str]] = []
        self.iopub_socket = None
        self.iopub_thread = SimpleNamespace(schedule=lambda call: None)
        self.session = SimpleNamespace(send=self._send)
        self.ask("install")

    def _send(self, socket: Any, kind: str, content: dict[str, str], parent: Any, ident: bytes) -> None:
        assert kind == "stream"
        assert ident == f"stream.{content['name']}".encode()
        self.sent.append((parent["header"]["msg_id"], content["name"], content["text"]))

    def ask(self, cell: str) -> None:
        self.newest = {"header": {"msg_id": cell}}
        self._shell_parent.set(self.newest)

    def get_parent(self) -> Any:
        return self._shell_parent.get(self.newest)

    def of(self, cell: str) -> str:
        return "".join(text for one, _, text in self.sent if one == cell)


class Notebook:
    """Cells that begin and end."""

    def __init__(self, live: bool = True) -> None:
        self.kernel = FakeKernel(live)
        self.echo = _Echo(self.kernel)
        self.echo.cell_ends()

    def begins(self, cell: str) -> None:
        self.kernel.ask(cell)
        self.echo.cell_begins()

    def made(self) -> Any:
        return SimpleNamespace(origin=self.echo.origin())

    def writes(self, record: Any, text: str, stream: str = "stdout") -> None:
        self.echo.write(record, stream, text)
        self.echo._flush_now()


def in_thread(call: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


class Waiting:
    """A thread that makes a task when it is told to."""

    def __init__(self, notebook: Notebook) -> None:
        self._go = threading.Event()
        self._notebook = notebook
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._go.wait()
        self._made = self._notebook.made()

    def made(self) -> Any:
        self._go.set()
        self._thread.join()
        return self._made


def test_in_front_of_somebody_each_cell_has_the_text_of_its_tasks() -> None:
    notebook = Notebook()
    notebook.begins("1")
    first = notebook.made()
    notebook.echo.cell_ends()
    notebook.writes(first, "between ")
    notebook.begins("2")
    second = notebook.made()
    notebook.writes(second, "second")
    notebook.writes(first, "late")
    assert (notebook.kernel.of("1"), notebook.kernel.of("2")) == ("between late", "second")


def test_a_thread_belongs_to_the_cell_that_started_it() -> None:
    notebook = Notebook()
    notebook.begins("1")
    plain, old = Waiting(notebook), in_thread(notebook.made)
    copied = contextvars.copy_context()
    notebook.echo.cell_ends()
    between = Waiting(notebook)
    notebook.begins("2")
    for made, cell in ((old, "1"), (plain.made(), "1"), (in_thread(lambda: copied.run(notebook.made)), "1")):
        assert made.origin["msg_id"] == cell
    assert between.made().origin["msg_id"] == in_thread(notebook.made).origin["msg_id"] == "2"


def test_workers_of_a_pool_belong_to_the_newest_cell() -> None:
    notebook = Notebook()
    with ThreadPoolExecutor(1) as pool:
        notebook.begins("1")
        assert pool.submit(notebook.made).result().origin["msg_id"] == "1"
        notebook.echo.cell_ends()
        notebook.begins("2")
        assert pool.submit(notebook.made).result().origin["msg_id"] == "2"


def test_a_task_of_an_earlier_client_goes_to_the_newest_cell() -> None:
    notebook = Notebook()
    notebook.begins("1")
    notebook.writes(SimpleNamespace(origin=None), "attached")
    assert notebook.kernel.of("1") == "attached"


def test_a_program_gets_all_text_in_the_cell_that_runs() -> None:
    notebook = Notebook(live=False)
    notebook.begins("1")
    made = notebook.made()
    notebook.writes(made, "a ")
    notebook.echo.cell_ends()
    notebook.writes(made, "held ")
    notebook.writes(made, "error", "stderr")
    notebook.writes(made, "too")
    assert notebook.kernel.of("1") == "a ", "what comes behind a cell's end is dropped"
    notebook.begins("2")
    assert notebook.kernel.sent[1:] == [("2", "stdout", "held too"), ("2", "stderr", "error")]
    notebook.writes(made, " more")
    assert notebook.kernel.of("2").endswith("more")


def test_cells_that_run_cells_and_empty_ones() -> None:
    notebook = Notebook(live=False)
    notebook.begins("1")
    made = notebook.made()
    notebook.echo.cell_begins()  # as by %run
    notebook.echo.cell_ends()
    notebook.writes(made, "still the first")
    assert notebook.kernel.of("1") == "still the first"
    notebook.echo.cell_ends()
    notebook.kernel.ask("empty")
    notebook.echo.write(made, "stdout", "held")
    notebook.echo.cell_ends()
    assert notebook.kernel.of("empty") == "held"
    notebook.writes(made, "later")
    notebook.begins("2")
    assert notebook.kernel.of("2") == "later"


def test_what_is_held_is_bounded() -> None:
    notebook = Notebook(live=False)
    made = notebook.made()
    for number in range(5):
        notebook.writes(made, str(number) * (ECHO_HELD_CHARS_MAX // 3))
    notebook.begins("1")
    text = notebook.kernel.of("1")
    assert f"… {2 * (ECHO_HELD_CHARS_MAX // 3)} characters left out" in text
    assert set(text[-ECHO_HELD_CHARS_MAX // 3 * 3 + 10 :]) <= set("234")
    assert text.endswith("4")
