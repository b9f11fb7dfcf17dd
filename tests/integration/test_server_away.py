"""While the server is away: what runs goes on, what asks it waits and goes on when it is back, Ctrl-C ends a wait."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rain import Client, blob, remote
from rain.client.operations.operation import block
from rain.client.operations.views import preview
from rain.processes import connection_files
from tests.integration.test_return import Waiting, back, executions
from tests.support.processes import Marked
from tests.support.waiting import at_this_load, until


@remote(auto_encode="pickle")
def made(ctx: Any, folder: str, number: int) -> Any:
    """Waits for its go; then leaves a file."""
    import os
    import time

    open(f"{folder}/began-{number}.{os.getpid()}", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.01)
    open(f"{folder}/ended-{number}.{os.getpid()}", "w").close()
    return number * list(range(1000))


def test_what_asks_a_server_that_is_away_goes_on_when_it_is_back(marked: Marked, tmp_path: Path) -> None:
    """The guardian is stopped, so that it starts no server while this looks around."""
    with Client.local(cpus=2) as client, client.new_session("away") as session:
        assert client._cluster is not None
        first, second, waits = (made(str(tmp_path), number) for number in range(3))
        for task in (first, second, waits):
            task.output.keep()
        session.submit()
        until(lambda: executions(tmp_path)["began-0"] and executions(tmp_path)["began-1"], "two run")
        file = connection_files.read(client._cluster.connection_file)
        os.kill(client._cluster._launch.pid, signal.SIGSTOP)
        try:
            os.kill(file.pid, signal.SIGKILL)
            (tmp_path / "go").touch()
            until(lambda: executions(tmp_path)["ended-0"] and executions(tmp_path)["ended-1"], "they go on")
            fetches = Waiting(lambda: first.output.fetch().load())
            previews = Waiting(lambda: (first.wait(), block(preview(session, first.output.id)))[1])
            large = blob(os.urandom(1_000_000))
            large.keep()
            submits = Waiting(session.submit)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                second.wait()
            assert time.monotonic() - began < at_this_load(1)
            assert fetches.is_alive()
            assert submits.is_alive()
        finally:
            os.kill(client._cluster._launch.pid, signal.SIGCONT)
        back(client, file.pid)
        assert fetches.result() == []
        assert previews.result()
        submits.result()
        assert len(large.fetch().get_bytes()) == 1_000_000
        assert waits.output.fetch().load() == 2 * list(range(1000))
        ran = {name: count for name, count in executions(tmp_path).items() if name.startswith("ended")}
        assert ran == {"ended-0": 1, "ended-1": 1, "ended-2": 1}
