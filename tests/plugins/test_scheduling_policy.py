"""A scheduling policy that another distribution adds: loaded by name, held to the rules of pure modules."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rain import Client, Input, Output, RainException, SessionException, TaskException, blob, remote
from rain.server.bounded_policy import BoundedPolicy, PolicyTooSlow
from rain.server.policy_loading import choose_policy
from tests.plugins.conftest import Install
from tests.sim.world import World
from tests.support.waiting import GUARD_S

FIFO = "[rain.scheduling_policies]\nfifo = rain_fifo:Fifo\n"
POLICY = """
from rain.server.scheduling.policy import SchedulingPolicy
class Made(SchedulingPolicy):
    def __init__(self):
        self.tasks = []
    def task_ready(self, task):
        self.tasks.append(task)
    def assignments(self, view, now):
"""


def bad_policy(install: Install, assignments: str) -> Path:
    """Install a policy ``bad`` whose method `assignments` has this body."""
    body = textwrap.indent(textwrap.dedent(assignments), " " * 8)
    return install("rain_bad", "[rain.scheduling_policies]\nbad = rain_bad:Made\n", source=POLICY + body)


@remote(inputs=[Input("value", load=True)], outputs=[Output("double", encode="json")])
def double(ctx, value):
    return 2 * value


def test_tasks_run_by_it(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(install("rain_fifo", FIFO)))
    with Client.local(cpus=2, policy="fifo") as client, client.new_session("fifo") as session:
        tasks = [double(blob(number, encode="json")) for number in range(20)]
        last = double(tasks[-1])
        for task in [*tasks, last]:
            task.output.keep()
        session.submit()
        session.wait_all()
        assert [task.output.fetch().load() for task in tasks] == [2 * number for number in range(20)]
        assert last.output.fetch().load() == 76


def test_it_survives_what_the_simulator_does(install: Install) -> None:
    install("rain_fifo", FIFO)
    policy = choose_policy("fifo")
    assert policy.name == "fifo"
    for seed in (3, 7, 11):
        World(seed, policy=policy).run()


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (
            """
            for task in self.tasks:
                for governor in view.governors():
                    yield task, governor
                    yield task, governor
            self.tasks = []
            """,
            r'The scheduling policy "bad" gave task .* to governor .*, but had given it to governor .* before',
        ),
        (
            """
            for task in self.tasks:
                task.request.needs = (("gpus", 1),)  # nothing here has one
                for governor in view.governors():
                    yield task, governor
            self.tasks = []
            """,
            r'The scheduling policy "bad" gave task .* to governor .*, which cannot hold it: it asks for 1 cpus',
        ),
    ],
)
def test_a_task_that_it_gives_wrongly_fails_and_says_so(
    install: Install, monkeypatch: pytest.MonkeyPatch, assignments: str, expected: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(bad_policy(install, assignments)))
    with Client.local(cpus=1, policy="bad") as client, client.new_session("bad") as session:
        task = double(blob(1, encode="json"))
        session.submit()
        with pytest.raises(TaskException, match=expected):
            task.wait(timeout=GUARD_S)


def test_sessions_end_and_say_so_when_it_raises(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(bad_policy(install, "return iter([1 / 0])")))
    with Client.local(cpus=1, policy="bad") as client:
        session = client.new_session("bad")
        with session.bind_only():
            task = double(blob(1, encode="json"))
        session.submit()
        with pytest.raises(SessionException, match=r'policy "bad" of the server does not work.*ZeroDivisionError'):
            task.wait(timeout=GUARD_S)
        client.new_session("the server goes on").close()


@pytest.mark.parametrize(
    ("body", "method"),
    [
        ("while True:\n    pass", "assignments"),
        ("try:\n    while True:\n        pass\nexcept Exception:\n    return []", "assignments"),
        ("yield from ()\ndef steals(self, view):\n    while True:\n        yield from ()", "steals"),
        ("yield from ()\ndef steals(self, view):\n    while True:\n        yield None, []", "steals"),
        ("yield from ()\ndef governor_lost(self, governor):\n    while True:\n        pass", "governor_lost"),
    ],
    ids=["loop", "catching", "generator", "items", "event"],
)
def test_what_does_not_end_is_interrupted(install: Install, body: str, method: str) -> None:
    lines = body.splitlines()
    split = next((number for number, line in enumerate(lines) if line.startswith("def ")), len(lines))
    more = textwrap.indent("\n".join(lines[split:]), "    ")
    source = POLICY + textwrap.indent("\n".join(lines[:split]), " " * 8) + f"\n{more}\n"
    install("rain_bad", "[rain.scheduling_policies]\nbad = rain_bad:Made\n", source=source)
    policy = BoundedPolicy(importlib.import_module("rain_bad").Made, 0.05)
    calls = {
        "assignments": lambda: list(policy.assignments(None, 0.0)),
        "steals": lambda: list(policy.steals(None)),
        "governor_lost": lambda: policy.governor_lost(None),
    }
    with pytest.raises(PolicyTooSlow, match=rf"{method} was interrupted after 0.05 s of processor time \(POLICY_S\)"):
        calls[method]()
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.filterwarnings("ignore:the server at:rain.RainWarning")  # it is away for seconds, which is told
def test_a_policy_that_does_not_end_does_not_hang_the_server(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site = bad_policy(install, "while self.tasks:\n    pass\nreturn []")
    # The server need not burn seconds of a cpu each time.
    (site / "sitecustomize.py").write_text("from rain.common import limits\nlimits.POLICY_S = 0.25\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    with Client.local(cpus=1, policy="bad") as client:
        session = client.new_session("bad")
        with session.bind_only():
            task = double(blob(1, encode="json"))
        session.submit()
        text = (
            r'policy "bad" of the server does not work.*PolicyTooSlow: '
            r"assignments was interrupted after 0\.25 s.*rain_bad.*line \d+"
        )
        with pytest.raises(SessionException, match=text):
            task.wait(timeout=GUARD_S)
        client.new_session("the server goes on").close()


# -- what is refused before it runs ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time", r"rain_bad imports time\. A policy decides by what the server gives it"),
        ("def later():\n    from os import path", r"rain_bad imports os\. "),
        ("import queue", r"rain_bad imports queue, which imports threading\. "),
        ("from statistics import mean", r"rain_bad imports statistics, which imports random\. "),
        ("open('/etc/passwd')", r"rain_bad calls open\(\), line 1\. "),
        ("from rain.server.core.state import State", r"rain_bad imports rain.server.core.state; of Rain a policy may"),
        ("from rain.client import Client", r"rain_bad imports rain\.client\. "),
        ("x = 1 / 0", r"rain_bad:Made\) cannot be used: ZeroDivisionError: division by zero"),
        ("x = 1", r"cannot be used: AttributeError: module 'rain_bad' has no attribute 'Made'"),
        ("class Made:\n    pass", r"cannot be used: it has no method task_ready; derive it from"),
    ],
)
def test_what_is_no_pure_policy_is_refused(install: Install, source: str, expected: str) -> None:
    install("rain_bad", "[rain.scheduling_policies]\nbad = rain_bad:Made\n", source=source)
    with pytest.raises(RainException, match=expected) as said:
        choose_policy("bad")
    assert str(said.value).startswith('the scheduling policy "bad" (rain_bad:Made) cannot be used: ')


def test_names(install: Install) -> None:
    assert choose_policy().name == choose_policy("locality").name == "locality"
    install("rain_fifo", FIFO)
    assert choose_policy("rain_fifo:Fifo").name == "rain_fifo:Fifo"
    with pytest.raises(
        RainException, match=r'there is no scheduling policy "lifo"; here are: fifo, locality\. Another'
    ):
        choose_policy("lifo")
    with pytest.raises(RainException, match=r"there is no module nothing_here in the server's Python environment"):
        choose_policy("nothing_here:Policy")
    with pytest.raises(RainException, match=r"which is no package.module:Class"):
        choose_policy("rain_fifo:")
    with pytest.raises(RainException, match=r"rain.server.core.core is a part of Rain that has no policies"):
        choose_policy("rain.server.core.core:ServerCore")
    install("rain_other", "[rain.scheduling_policies]\nfifo = rain_other:Fifo\n", source="")
    with pytest.raises(
        RainException, match=r'several distributions bring a scheduling policy "fifo": rain_fifo:Fifo, '
    ):
        choose_policy("fifo")


def test_a_server_does_not_start_with_one_that_is_refused(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install("rain_bad", "[rain.scheduling_policies]\nbad = rain_bad:Made\n", source="import socket")
    monkeypatch.setenv("PYTHONPATH", str(site))
    with pytest.raises(RainException, match=r"rain_bad imports socket"):
        Client.local(cpus=1, policy="bad")


def test_rain_start_passes_it_on(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install("rain_bad", "[rain.scheduling_policies]\nbad = rain_bad:Made\n", source="import socket")
    monkeypatch.setenv("PYTHONPATH", str(site))
    ports = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", "rain", "start", "--local-governors", "[]", *ports, "--policy", "bad"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "rain_bad imports socket. A policy decides by what the server gives it" in done.stderr
