"""``%rain_connect --on`` in a real kernel: places of an engine that a test plays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")

from tests.integration.kernels import Kernel, kernel
from tests.support.processes import Marked

ENGINE = f"""
import os, sys, tempfile
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()  # pools of the same name count what earlier ones have used
sys.path.append({str(Path(__file__).parents[2])!r})
import rain
from rain.deploy.pools.choice import SUPPLIES
from tests.support.supplier import StandIn

asked = {{}}

def supply(*, cpus: int = 1, time: str = "", arguments: "Sequence[str]" = ()):
    asked.update(cpus=cpus, time=time, arguments=arguments)
    return lambda server, token: engine

SUPPLIES["slurm"] = supply
engine = StandIn("slurm")
"""
COMES = "engine = StandIn('slurm')\nengine.start = lambda number: engine.runs(number, f'n{number}:7211')\n"
FAILS = (
    "engine = StandIn('slurm')\n"
    "engine.start = lambda number: engine.ends(number, 'FAILED', 'loading\\nNo module named rain')\n"
)
INTERRUPTED = """
import os, signal, threading
from tests.support.waiting import until

engine = StandIn('slurm')

def interrupt():
    until(lambda: engine.looks > 2)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
"""


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as found:
        found.good(ENGINE)
        yield found


def test_places_are_shown_while_they_come(started: Kernel) -> None:
    shown = started.good(
        COMES + "%rain_connect --on slurm --nodes 2 --wait=2 --session on --time 2:00:00 -- --account=abc --x"
    )
    assert started.good("asked").result == "{'cpus': 1, 'time': '2:00:00', 'arguments': ['--account=abc', '--x']}"
    assert "Started a server at " in shown.text()
    assert "; 2 of 2 places on slurm up; new session 1 'on', the default now.\n" in shown.text()
    assert "encrypted, for places of slurm" in shown.text("stderr")
    (first,) = shown.displayed
    assert "application/vnd.rain.view+json" in first
    assert "Places on slurm" in first["text/html"]
    updates = [m["content"]["data"] for m in shown.messages if m["msg_type"] == "update_display_data"]
    assert updates[-1]["text/plain"] == ("places on slurm: 2 up\n    1: up (n1:7211)\n    2: up (n2:7211)")
    shown = started.good("rain.get_active_session().client.pools")
    assert "Places on slurm" in shown.displayed[0]["text/html"]
    shown = started.good("import rain.notebook.magics as magics\nmagics.disconnect()\nengine.closed.is_set()")
    assert shown.result == "True"


def test_places_that_come_and_go_with_the_work(started: Kernel) -> None:
    shown = started.good(
        COMES + "%rain_connect --on slurm --minimum=1 --maximum 3 --idle 5m --core-hours 7 --time 2:00:00"
    )
    assert "; 1 of 1 places on slurm up, from 1 to 3 of them as work asks for; new session" in shown.text()
    shown = started.good("pool = rain.get_active_session().client.pools[0]\nprint(tuple(pool.rules), asked['time'])")
    assert shown.text() == "(1, 3, 300.0, 25200.0) 2:00:00\n"
    shown = started.good(COMES + "%rain_connect --on slurm --maximum 3")
    assert "; 0 of 0 places on slurm up, from 0 to 3 of them as work asks for; new session" in shown.text()
    started.good("import rain.notebook.magics as magics\nmagics.disconnect()")


def test_a_program_that_runs_the_notebook_gets_what_was_last(started: Kernel) -> None:
    line = "%rain_connect --on=slurm --nodes 1\nmagics = __import__('rain.notebook.magics').notebook.magics"
    shown = started.run(COMES + line, allow_stdin=False)
    assert not shown.error, shown.error
    updates = [m["content"]["data"] for m in shown.messages if m["msg_type"] == "update_display_data"]
    assert set(updates[-1]) == {"text/html", "text/plain"}
    assert "● up" in updates[-1]["text/html"]
    assert "as of" not in updates[-1]["text/html"]
    started.good("magics.disconnect()")


def test_none_comes_up_and_the_cause_is_told(started: Kernel, marked: Marked) -> None:
    shown = started.run(FAILS + "%rain_connect --on slurm --nodes 2")
    assert shown.error_name == "RainException"
    assert "place 1: Rain is not installed in the Python that runs there" in shown.error
    updates = [m["content"]["data"] for m in shown.messages if m["msg_type"] == "update_display_data"]
    assert "2: never came up (FAILED · Rain is not installed" in updates[-1]["text/plain"]
    assert started.good("engine.closed.is_set(), engine.given_up").result == "(True, [])"
    assert not marked.named("rain-server")


def test_an_interrupt_leaves_nothing(started: Kernel, marked: Marked) -> None:
    shown = started.run(INTERRUPTED + "%rain_connect --on slurm --nodes 3")
    assert shown.error_name == "KeyboardInterrupt"
    assert started.good("engine.given_up").result == "['job-1', 'job-2', 'job-3']"
    assert not marked.named("rain-server")
    updates = [m["content"]["data"] for m in shown.messages if m["msg_type"] == "update_display_data"]
    assert "3 given up" in updates[-1]["text/plain"] or "3 pending" in updates[-1]["text/plain"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--on", "--on needs the name of an engine, such as slurm\nusage: %rain_connect"),
        ("--on -- --account=abc", "--on needs the name of an engine"),
        ("--on slrm", "no places can be had from 'slrm'"),
        ("--on slurm --node 4", "places of 'slurm' have no option 'node': do you mean nodes?"),
        ("--on slurm --nodes four", "--nodes is a number, not 'four'"),
        ("--on slurm --minimum 3 --maximum 2", "the minimum of places on slurm, 3, is more than the maximum, 2"),
        ("--on slurm --idle soon", "idle"),
        ("--on slurm --core-hours 0", "core_hours is a positive number, not 0.0"),
        ("--on slurm host:7210", "'host:7210' is too much"),
        ("--on slurm --local 2", "places of 'slurm' have no option 'local'"),
        ("--nodes 4", "unrecognized arguments: --nodes"),
    ],
)
def test_what_is_wrong_is_told(started: Kernel, words: str, text: str) -> None:
    shown = started.run(f"%rain_connect {words}")
    assert shown.error_name == "RainException"
    assert text in shown.error


def test_completion(started: Kernel) -> None:
    assert started.complete("%rain_connect --on sl") == ["%rain_connect --on slurm"]
    assert started.complete("%rain_connect --on slurm --no") == ["%rain_connect --on slurm --nodes"]
    assert started.complete("%rain_connect --on slurm --nodes 4 --ti") == [
        f"%rain_connect --on slurm --nodes 4 --{name}" for name in ("time", "timeout")
    ]
    assert started.complete("%rain_connect --on slurm -- --no") == []
