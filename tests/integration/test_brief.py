"""The server in figures, on a real cluster."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from rain import Client, RainException, remote
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S, until


def test_the_server_in_figures(marked: Marked, tmp_path: Path) -> None:
    @remote(auto_encode="json")
    def busy(ctx, gate: str) -> int:
        import os

        while not os.path.exists(gate):
            pass
        return 1

    with Client.local(cpus=1) as client, client.new_session("figures") as session:
        task = busy(str(tmp_path / "gate"))
        task.output.keep()
        session.submit()

        def governor() -> dict[str, Any]:
            (one,) = client._brief_info(timeout=GUARD_S)["governors"]
            return one

        until(lambda: governor()["load"].get("cpus_used") == 1 and "own_cpus" in governor()["load"], "the task's cpu")
        found = client._brief_info()
        assert (found["address"], found["http"]) == (client.get_server_info()["address"], client.http_address)
        assert found["sessions"][0] == {
            "id": session.session_id,
            "name": "figures",
            "persistent": False,
            "client": found["sessions"][0]["client"],
            "tasks": {"running": 1},
        }
        one = governor()
        assert (one["cpus"], one["tasks"], one["resources"]["cpus"]) == (1, 1, 1)
        load = one["load"]
        assert load["executors_running"] == 1
        assert 0 <= load["cpu_percent"] <= 100
        assert 0 < load["host_used_bytes"] < load["host_max_bytes"]
        assert load["disk_max_bytes"] > 0

        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(client._brief_info()))
        asking.start()
        asking.join(GUARD_S)
        assert answers
        (tmp_path / "gate").touch()
        session.wait_all()
        until(lambda: governor()["tasks"] == 0, "the task's end")
    with pytest.raises(RainException, match="closed"):
        client._brief_info()
