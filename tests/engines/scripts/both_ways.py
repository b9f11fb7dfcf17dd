"""Runs on the login node: governors here and on another host, each of which needs what the other made."""

from __future__ import annotations

import sys
from typing import Any

import rain


@rain.task
def make(number: int) -> bytes:
    import time

    time.sleep(0.5)
    return bytes([number]) * (1 << 20)


@rain.task
def read(*found: Any) -> int:
    import time

    time.sleep(0.5)
    return sum(data[0] for data in found)


with rain.Client(sys.argv[1]) as client, client.new_session("both ways") as session:
    made = [make(number) for number in range(8)]
    readers = [read(*made) for _ in range(8)]
    assert session.run(readers) == [sum(range(8))] * 8
    for tasks in (made, readers):
        governors = {task.info.governor.rpartition(":")[0] for task in tasks}
        assert len(governors) == 2, governors
        assert "127.0.0.1" not in governors, governors
    assert all(len(task.attempts) == 1 for task in (*made, *readers))
    print("each read what the other made")
