"""What tasks print appears in the cell that made them, and in no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")

from tests.integration.kernels import Kernel, kernel


@pytest.fixture(scope="module")
def started() -> Iterator[Kernel]:
    with kernel() as found:
        found.good("%rain_connect --local 2")
        found.good(
            "import rain, pathlib, time\n"
            "session = rain.get_active_session()\n"
            "session.echo = True\n"
            "def appears(path):\n"
            "    while not pathlib.Path(path).exists():\n"
            "        time.sleep(0.02)\n"
            "@rain.remote\n"
            "def talk(ctx, word, gate=None):\n"
            "    print(word, 'begins', flush=True)\n"
            "    if gate is not None:\n"
            "        appears(gate)\n"
            "    print(word, 'ends')\n"
            "    return b''\n"
        )
        yield found


def test_text_comes_to_the_cell_that_made_the_task(started: Kernel, tmp_path: Path) -> None:
    gate, other = tmp_path / "gate", tmp_path / "other"
    first = started.good(f"a = talk('a', {str(gate)!r})\nsession.submit()")
    started.until(lambda: "a begins\n" in first.text(), "text of a running task")
    second = started.start(f"b = talk('b')\nsession.submit()\nsession.wait(b)\nprint('waits')\nappears({str(other)!r})")
    started.until(lambda: "b ends\n" in second.text() and "waits\n" in second.text(), "text of the second cell's task")
    gate.touch()
    started.until(lambda: "a ends\n" in first.text(), "text for the first cell while the second one runs")
    other.touch()
    started.finish(second)
    assert first.text() == "a begins\na ends\n"
    assert sorted(second.text().splitlines()) == ["b begins", "b ends", "waits"]


def test_a_cell_that_is_run_again_gets_its_own_text_only(started: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    source = f"c = talk('c', {str(gate)!r})\nsession.submit()"
    first = started.good(source)
    started.until(lambda: "c begins\n" in first.text(), "the first run")
    second = started.good(source)
    started.until(lambda: "c begins\n" in second.text(), "the second run")
    gate.touch()
    started.until(lambda: "c ends\n" in first.text() and "c ends\n" in second.text(), "both end")
    assert first.text() == second.text() == "c begins\nc ends\n"


def test_a_cell_that_waits_is_complete_when_it_ends(started: Kernel) -> None:
    shown = started.good("d = talk('d')\nsession.submit()\nsession.wait(d)")
    idle = [message["msg_type"] for message in shown.messages].index("status", 1)
    assert idle == len(shown.messages) - 1
    assert shown.text() == "d begins\nd ends\n"


def test_streams_and_loops(started: Kernel) -> None:
    shown = started.good(
        "import sys\n"
        "@rain.remote\n"
        "def both(ctx, i):\n"
        "    print(i)\n"
        "    print('E', i, file=sys.stderr)\n"
        "    return b''\n"
        "made = [both(i) for i in range(5)]\nsession.submit()\nsession.wait(made)"
    )
    started.until(lambda: shown.text().count("\n") == 5 and shown.text("stderr").count("\n") == 5, "all text")
    assert sorted(shown.text().split()) == list("01234")


def test_much_text_is_cut(started: Kernel) -> None:
    shown = started.good(
        "@rain.remote\ndef flood(ctx):\n    print('x' * 3_000_000)\n    return b''\n"
        "made = flood()\nsession.submit()\nsession.wait(made)"
    )
    started.until(lambda: "left out" in shown.text() and "xx" in shown.text(), "a note")
    assert len(shown.text()) < 1_000_000
    assert "task.stdout() has the tail\n" in shown.text()


def test_without_echo_nothing_comes(started: Kernel) -> None:
    started.good("session.echo = False")
    quiet = started.good("e = talk('e')\nsession.submit()\nsession.wait(e)")
    started.good("session.echo = True")
    shown = started.good("f = talk('f')\nsession.submit()\nsession.wait(f)")
    started.until(lambda: "f ends\n" in shown.text(), "text after it was switched on again")
    assert quiet.text() == ""
    assert started.good("e.stdout()").result == "'e begins\\ne ends\\n'"


def test_threads_and_contexts_belong_to_the_cell_that_started_them(started: Kernel, tmp_path: Path) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    first = started.good(
        "import contextvars, threading\n"
        "def make(word):\n"
        f"    appears({str(gate)!r})\n"
        "    made = talk(word)\n"
        "    session.submit()\n"
        "    session.wait(made)\n"
        "threads = [threading.Thread(target=make, args=['plain'], daemon=True),\n"
        "    threading.Thread(target=contextvars.copy_context().run, args=[make, 'copied'], daemon=True)]\n"
        "[thread.start() for thread in threads]"
    )
    second = started.start(f"own = talk('own')\nsession.submit()\nsession.wait(own)\nappears({str(done)!r})")
    started.until(lambda: "own ends\n" in second.text(), "the second cell runs")
    gate.touch()
    started.until(
        lambda: "plain ends\n" in first.text() and "copied ends\n" in first.text(), "text in the cell of the threads"
    )
    done.touch()
    started.finish(second)
    assert second.text() == "own begins\nown ends\n"


def test_without_anybody_in_front_text_comes_to_the_running_cell(started: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = started.good(f"a = talk('a', {str(gate)!r})\nsession.submit()", allow_stdin=False)
    second = started.good(f"print('opens')\npathlib.Path({str(gate)!r}).touch()\nsession.wait(a)", allow_stdin=False)
    text = first.text() + second.text().replace("opens\n", "")
    assert text == "a begins\na ends\n"
    assert "a ends\n" in second.text()
    started.good("b = talk('b')\nsession.submit()\nsession.wait(b)")  # somebody is there again
    for shown in (first, second):
        idle = [message["msg_type"] for message in shown.messages].index("status", 1)
        assert idle == len(shown.messages) - 1, "nothing after its end, which would be dropped"


def test_option_of_the_magic(started: Kernel) -> None:
    started.good("other = session.client.new_session('other', default=True)")
    started.good("%%rain_remote --echo say(word)\nprint(word)")
    shown = started.good("g = say('hello')\n%rain_submit\n%rain_wait")
    started.until(lambda: "hello\n" in shown.text(), "text of the task")
    assert started.good("other.echo").result == "False", "only what those tasks print"
    shown = started.good("i = say('louder')\nj = talk('quiet')\n%rain_submit\n%rain_wait")
    assert shown.text().splitlines()[-1:] == ["louder"]
    started.good("other.echo = True")
    later = started.good("k = talk('k')\n%rain_submit\n%rain_wait")
    started.until(lambda: "k ends\n" in later.text(), "text of all tasks from now on")
    assert "quiet" not in shown.text() + later.text()
    shown = started.good("h = say.options(name='named')('again')\n%rain_submit\n%rain_wait")
    started.until(lambda: "again\n" in shown.text(), "text of the task with other options")
    started.good("session.set_as_default()\nother.close()")
