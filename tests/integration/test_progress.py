"""What running tasks say of themselves: `ctx.progress`, `ctx.show`, and bars of tqdm."""

from __future__ import annotations

import os

import pytest

from rain import Client, RainException, TaskException, remote
from rain.client.core.change_feed import ChangeFeed
from rain.client.handles import inside, record_of
from rain.common.protocol.previews import decode_preview
from tests.support.waiting import until


@pytest.fixture
def gate(tmp_path):
    """Tasks read from it, and go on when the test has written."""
    path = tmp_path / "gate"
    os.mkfifo(path)

    def open_gate():
        with open(path, "w") as file:
            file.write("go on")

    return str(path), open_gate


def progress_of(task):
    return record_of(task).progress


def test_progress_and_what_is_shown_live(client, session, gate):
    path, open_gate = gate

    @remote(outputs=0)
    def train(ctx, path):
        for epoch in range(100_000):
            ctx.progress(epoch + 1, 200_000, f"epoch {epoch}\nand more")
        ctx.show([1, 2], "a list")
        with open(path) as file:
            file.read()
        ctx.progress(7)
        with open(path) as file:
            file.read()

    task = train(path)
    session.submit()
    seen = []
    watch = ChangeFeed(inside(session).mirror, lambda: seen.append(progress_of(task)))
    until(lambda: progress_of(task) is not None and progress_of(task).shown)
    told = progress_of(task)
    assert (told.done, told.total, told.note, told.title) == (100_000, 200_000, "epoch 99999", "a list")
    assert decode_preview(told.shown).text == "[1, 2]"
    open_gate()
    until(lambda: progress_of(task).done == 7)
    assert (progress_of(task).total, progress_of(task).title) == (None, "a list")
    open_gate()
    session.wait_all()
    assert progress_of(task) is None  # lost with the end of the task
    watch.close()
    assert len(seen) < 50  # of 100,000 calls


def test_a_retry_says_nothing_yet(client, session, gate):
    path, open_gate = gate

    @remote(outputs=0)
    def fails(ctx, path):
        if ctx.info.attempts == 1:
            ctx.progress(1, 2)
        with open(path) as file:
            file.read()
        raise ValueError

    task = fails.options(retries=1)(path)
    session.submit()
    until(lambda: progress_of(task) is not None)
    open_gate()
    until(lambda: progress_of(task) is None and task.info is not None and task.info.attempts == 2)
    open_gate()
    with pytest.raises(TaskException):
        session.wait_all()


def test_a_bar_of_tqdm_is_told_and_not_printed(client, session, gate):
    path, open_gate = gate

    @remote(outputs=0)
    def bars(ctx, path):
        import sys

        from tqdm import tqdm
        from tqdm.auto import trange

        with open("kept", "w") as file:
            for _ in tqdm(range(3), file=file, mininterval=0):
                pass
        with open("kept", newline="") as file:
            print(file.read().count("\r"))
        for number in tqdm(range(1200), desc="outer", mininterval=0):
            for _ in trange(2, leave=False, mininterval=0):
                pass
            if number == 600:
                with open(path) as file:
                    file.read()
        print("done", file=sys.stderr)

    task = bars(path)
    session.submit()
    until(lambda: progress_of(task) is not None and progress_of(task).done >= 600)
    told = progress_of(task)
    assert (told.done, told.total, told.note) == (600, 1200, "outer")
    open_gate()
    session.wait_all()
    assert int(task.stdout()) > 3  # a bar in a file of the task's is tqdm's own
    lines = task.stderr().replace("\r", "\n").split("\n")
    shown = [line for line in lines if "outer" in line]
    assert len(shown) == 1
    assert "1200/1200" in shown[0]
    assert lines[-2:] == ["done", ""]


def test_an_attached_client_is_told(gate):
    path, open_gate = gate

    @remote(outputs=0)
    def says(ctx, path):
        ctx.progress(1, 4)
        with open(path) as file:
            file.read()

    with Client.local(cpus=1) as first:
        session = first.new_session("stays", persistent=True)
        with session.bind_only():
            task = says(path)
            session.submit()
        until(lambda: progress_of(task) is not None)
        again = first.attach("stays")
        until(lambda: again.tasks[0].state is not None and progress_of(again.tasks[0]) is not None)
        assert progress_of(again.tasks[0]).total == 4
        open_gate()
        again.wait_all()
        again.close()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [((-1,), "done is a number"), (("x",), "done is a number"), ((1, float("nan")), "total is a number")],
    ids=["negative", "text", "nan"],
)
def test_wrong_amounts_are_errors(client, arguments, wrong):
    @remote(auto_encode="json")
    def says(ctx):
        ctx.progress(*arguments)

    with pytest.raises(RainException, match=wrong):
        says.local()


def test_called_here_they_do_nothing():
    @remote(auto_encode="json")
    def says(ctx):
        ctx.progress(1, 2, "note")
        ctx.show(object(), "title")
        return 3

    assert says.local() == 3
