"""Tasks on several governors at once, with real processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest

from rain import Client, Program, RainException, Session, TaskException, blob, remote, tasks
from tests.support.waiting import GUARD_S, until

RUN_ON = f"{sys.executable} -P -m rain run-on"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client.local(cpus=3, governors=3) as made:
        yield made


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    with client.new_session("gangs") as made:
        yield made


@remote(nodes=3, auto_encode="json")
def everywhere(ctx):  # type: ignore[no-untyped-def]
    import os

    ctx.launch(["/bin/sh", "-c", 'echo "$RAIN_NODE_RANK of $RAIN_NODES"; echo "e$RAIN_NODE_RANK" >&2'])
    with open(os.environ["RAIN_HOSTFILE"]) as file:
        return {"governors": [node.governor for node in ctx.nodes], "hostfile": file.read()}


def test_a_function_starts_programs_on_all_its_governors(client: Client, session: Session) -> None:
    task = everywhere()
    found = session.run(task)
    here = {governor["governor_id"] for governor in client.get_server_info()["governors"]}
    assert set(found["governors"]) == here
    assert found["governors"][0] == task.info.governor
    assert found["hostfile"] == "127.0.0.1 slots=3\n"
    assert sorted(task.stdout().splitlines()) == ["0 of 3", "1 of 3", "2 of 3"]
    assert sorted(task.stderr().splitlines()) == ["e0", "e1", "e2"]


def test_a_program_has_a_host_file_and_reaches_each_of_its_nodes(session: Session) -> None:
    script = f"wc -l < $RAIN_HOSTFILE; {RUN_ON} 1 sh -c 'echo $RAIN_NODE_RANK'"
    script += f"; {RUN_ON} 2 'echo shell; exit 7'; echo $?"
    told = session.run(tasks.Execute(script, shell=True, stdout=True, nodes=3))
    assert bytes(told).split() == [b"1", b"1", b"shell", b"7"]
    with pytest.raises(TaskException, match="'5' is no node of this task; they are 0 "):
        session.run(tasks.Execute(f"{RUN_ON} 5 true", shell=True, nodes=3))


def test_the_first_that_fails_ends_all(session: Session) -> None:
    @remote(nodes=3)
    def fails(ctx):  # type: ignore[no-untyped-def]
        ctx.launch(["/bin/sh", "-c", "[ $RAIN_NODE_RANK = 1 ] && exit 3; exec sleep 1000"])

    with pytest.raises(TaskException, match=r"/bin/sh on node 1 \(.*\) ended with status 3"):
        session.run(fails())
    until(lambda: not _sleeping())


def test_a_cancelled_task_leaves_nothing(session: Session) -> None:
    @remote(nodes=3)
    def sleeps(ctx):  # type: ignore[no-untyped-def]
        ctx.launch(["sleep", "1000"])

    task = sleeps()
    session.submit()
    until(lambda: len(_sleeping()) == 3)
    session.cancel(task)
    until(lambda: not _sleeping())
    assert session.run(everywhere())["hostfile"], "and its resources are free"


def test_two_of_them_and_small_tasks_wait_for_each_other_without_end(session: Session) -> None:
    @remote(auto_encode="json")
    def small(ctx, number):  # type: ignore[no-untyped-def]
        return number

    gangs = [everywhere() for _ in range(3)]
    others = [small(number) for number in range(30)]
    for made in (*gangs, *others):
        made.keep_outputs()
    session.submit()
    session.wait_all(timeout=GUARD_S)
    assert {gang.state.value for gang in gangs} == {"finished"}


def test_what_cannot_be_is_told(session: Session) -> None:
    with pytest.raises(TaskException, match="asks for 4 governors at once with 1 cpus each, and there are not so many"):
        session.run(everywhere(nodes=4))
    with pytest.raises(TaskException, match="this task runs on one governor: give it nodes="):
        session.run(everywhere(nodes=1))
    with pytest.raises(RainException, match="only remote functions and programs run on several governors"):
        session.run(tasks.Sleep(blob("x"), 0.1, nodes=2))
    for wrong in (0, -1, 1.5, True, 10_000):
        with pytest.raises(RainException, match="nodes is"):
            everywhere(nodes=wrong)
    assert Program("true", nodes=2)


def _sleeping() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline() == ["sleep", "1000"]:
                found.append(process)
        except psutil.Error:
            pass
    return found
