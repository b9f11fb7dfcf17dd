"""A user's script gives the same while processes of its cluster are killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rain.chaos.__main__ import SAME, main

SCRIPT = """
import time
from rain import Client, remote

@remote(auto_encode="json")
def square(ctx, number: int) -> int:
    time.sleep(0.02)
    return number * number

with Client.local(cpus=2) as client, client.new_session("squares") as session:
    made = [square(number) for number in range(60)]
    for task in made:
        task.output.keep()
    session.submit()
    session.wait_all()
    print(sum(task.output.fetch().load() for task in made))
"""


@pytest.mark.parametrize("kinds", ["executor", pytest.param("governor,executor", marks=pytest.mark.soak)])
def test_results_are_the_same(kinds: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    status = main(["--kill", kinds, "--every", "300ms", "--seed", "3", "--", sys.executable, str(script)])
    told = capfd.readouterr().err
    assert status == SAME, told
    assert "SIGKILL to the executor" in told
