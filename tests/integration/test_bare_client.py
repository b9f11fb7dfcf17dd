"""A client with what Python has everywhere: no `fcntl`, `resource`, ``memfd_create`` or ``/dev/shm``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import rain
from rain import Client
from tests.support.waiting import GUARD_S

ROOT = Path(rain.__file__).parent.parent


def test_it_does_all_that_a_client_does(client: Client, tmp_path: Path) -> None:
    script = Path(__file__).with_name("bare_client.py")
    command = [sys.executable, str(script), client.address, client._cluster.connection_file, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=GUARD_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all is well\n")
