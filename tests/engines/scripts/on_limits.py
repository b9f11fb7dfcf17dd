"""Runs on the login node: one place with less memory than what is kept there."""

from __future__ import annotations

from typing import Any

from rain import Client, Output, remote

TASKS, MIB = 20, 40


@remote(outputs=[Output(encode="pickle")])
def large(ctx: Any, number: int, mib: int) -> Any:
    return bytes([number]) * (mib << 20)


with Client.on("slurm", nodes=1, cpus=1, memory="600M", timeout=100) as client:
    client.wait_for_governors(1, timeout=100)
    with client.new_session("limits", default=True) as session:
        tasks = [large(number, MIB) for number in range(TASKS)]
        for task in tasks:
            task.keep_outputs()
        session.submit()
        session.wait_all(timeout=100)
        for number, task in enumerate(tasks):
            assert task.output.fetch().load() == bytes([number]) * (MIB << 20)
        attempts = sorted({task.info.attempts for task in tasks if task.info is not None})
        print("kept", TASKS * MIB, "MiB, attempts", attempts)
