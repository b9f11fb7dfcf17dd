"""Memory for objects and constants is bounded, and may be small: what is too much for it goes to disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rain import Client, RainException, RainWarning, pickled, remote
from tests.support.waiting import GUARD_S


@remote(auto_load=True, auto_encode="pickle")
def double(ctx: Any, x: Any) -> Any:
    return x * 2


def test_more_than_the_memory_goes_to_the_folder(tmp_path: Path) -> None:
    with Client.local(cpus=1, memory="10M", workdir=tmp_path) as client, client.new_session("memory") as session:
        values = [pickled(np.full(125_000, number)) for number in range(6)]  # 1 MB each, of 2 MiB for constants
        folders = [os.path.dirname(value._value.path) for value in values]  # type: ignore[union-attr]
        assert [folder.startswith(str(tmp_path)) for folder in folders] == [False] * 2 + [True] * 4
        made = [double(value) for value in values] + [double(value) for value in values]
        assert [int(array[5]) for array in session.run(*made)] == [2 * number for number in range(6)] * 2
        with pytest.warns(RainWarning, match="Pickled object x"):
            argument = double(np.full(1_000_000, 7))
        assert session.run(argument)[5] == 14
    assert os.listdir(tmp_path) == []


def test_sizes_and_folders_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RainException, match="'much' is not a size"):
        Client.local(memory="much")
    with pytest.raises(RainException, match=r"no folder can be made in .*nothing"):
        Client.local(workdir=tmp_path / "nothing")


_SMALL = """
import warnings
import numpy as np
from rain import *
warnings.simplefilter("ignore")

@remote(auto_load=True, auto_encode="pickle")
def double(ctx, x):
    return x * 2

with Client.local(cpus=1) as client, client.new_session("small") as session:
    given = pickled(np.ones(5_000_000))
    made, other = double(given), double(np.full(4_000_000, 3.0))
    made.keep_outputs()
    print([float(array[-1]) for array in session.run(made, other)], made.output.fetch().load().sum())
"""


def test_a_small_memory_file_system_will_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SMALL)
    inside = f'mount -t tmpfs -o size=24m rain-test /dev/shm && exec "{sys.executable}" "{script}"'
    ways = [["unshare", "-m"], ["unshare", "-r", "-m"]]
    usable = [way for way in ways if not subprocess.run([*way, "true"], capture_output=True, check=False).returncode]
    if not usable:
        pytest.skip("a small file system cannot be mounted here: no mount namespace can be made")
    done = subprocess.run(
        [*usable[0], "sh", "-c", inside], capture_output=True, text=True, check=False, timeout=GUARD_S
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2.0, 6.0] 10000000.0\n"
