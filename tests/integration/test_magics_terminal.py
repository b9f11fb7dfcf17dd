"""The magics in a shell without a kernel: text, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rain import Client, Session
from rain.deploy.pools import choice
from tests.support.supplier import StandIn
from tests.support.waiting import until

interactiveshell = pytest.importorskip("IPython.core.interactiveshell")

Run = Callable[[str], str]


@pytest.fixture
def run(client: Client, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a cell; what it printed, errors included."""
    shell = interactiveshell.InteractiveShell.instance(colors="nocolor")
    shell.run_line_magic("load_ext", "rain.notebook")

    def run(source: str) -> str:
        capsys.readouterr()
        shell.run_cell(source, store_history=True)
        return capsys.readouterr().out

    with client.new_session("terminal") as session, session.bind_only():
        shell.user_ns["session"] = session
        yield run
    shell.run_line_magic("unload_ext", "rain.notebook")
    interactiveshell.InteractiveShell.clear_instance()


def test_a_whole_session(run: Run) -> None:
    assert run("%%rain_remote double(x: load) -> y: json\ny = 2 * x") == ""
    assert run("from rain import *\ny = double(pickled(4), name='twice').output\ny.keep()") == ""
    assert run("%rain_submit") == "Submitted 1 task and 2 data objects in session 'terminal'.\n"
    assert run("%rain_submit") == "Nothing new to submit in session 'terminal'.\n"
    assert run("%rain_wait") == ""
    assert run("value = %rain_fetch twice\nvalue.load()") == "Out[6]: 8\n"
    assert run("%rain_graph").startswith("<Session ")
    assert run("%rain_status").startswith("Server 127.0.0.1:")
    assert "8" in run("%rain_inspect y.fetch()") or run("%rain_inspect y.fetch()").startswith("<DataInstance")
    assert run("%rain_tasks").splitlines()[1].split()[:5] == ["✓", "3", "twice", "py/", "finished"]


def test_places_are_lines(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    engine = StandIn("slurm")
    monkeypatch.setitem(choice.SUPPLIES, "slurm", lambda: lambda server, token: engine)
    pool = client.pool("slurm", 1)
    try:
        until(lambda: pool.places[0].reason == "Resources")
        assert run("%rain_status").endswith("    1: pending (Resources)\n")
        assert run("session.client.pools").startswith("Out[2]: [<Pool on slurm: 1 pending>]")
    finally:
        pool.close()


def test_await_and_errors(run: Run) -> None:
    source = "%%rain_remote\nimport asyncio\ndef f(ctx, x): return 1 / x\nawait asyncio.sleep(0, result='waited')"
    assert run(source) == "Out[1]: 'waited'\n"
    shown = run("session.run(f(0))")
    assert "  Cell In[1], line 3, in f\n    def f(ctx, x): return 1 / x\n                          ~~^~~\n" in shown
    assert run("%%rain_remote g(x) -> y\n\ny = x +").startswith("  Cell In[3], line 3\n    y = x +\n")
    shown = run("get_ipython().run_cell_magic('rain_remote', 'g(x) -> y', 'y = x +')")
    assert "Cell In[4], line 2\n    y = x +\n" in shown
    assert "SyntaxError: invalid syntax" in shown


def test_without_a_session(client: Client) -> None:
    shell = interactiveshell.InteractiveShell(colors="nocolor")
    shell.run_line_magic("load_ext", "rain.notebook")
    shown = shell.run_cell("%rain_submit")
    assert "no session is active here" in str(shown.error_in_exec)


def test_twins(client: Client, session: Session) -> None:
    from rain import blob
    from rain.notebook import magics

    made = magics.remote_cell("shout(text: load) -> loud: text", "loud = text.upper()", {})
    with session.bind_only():
        loud = made(blob("a")).output
        loud.keep()
        assert magics.submit() == (1, 2)
        magics.wait()
        assert magics.fetch(loud).load() == "A"
        assert magics.fetch("loud").load() == "A"
        assert "1 task in session" in magics.tasks()
