"""Runs on a machine that reaches hosts over ssh: what becomes of governors that cannot start there, one line each."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from rain import Client, RainException, blob, tasks

KEY, KNOWN, OTHER_PYTHON, RUNNING = *sys.argv[1:4], Path(sys.argv[4])

with Client.on(["n1"], cpus=1, timeout=100, init="sleep 1", python=sys.executable, host="0.0.0.0") as client:
    print("slow host:", client.pools[0])
    with client.new_session("constant") as session:
        print("constant:", session.run(tasks.Concat([blob(bytes(200_000)), blob(b"end")]))[-3:])
    for name, options in {
        "wrong key": {"key": KEY, "port": 2222, "arguments": ["-F", "none", "-o", f"UserKnownHostsFile={KNOWN}"]},
        "no python": {"python": "/nowhere/python"},
        "no rain": {"python": "/usr/bin/python3"},
        "other python": {"python": OTHER_PYTHON},
        "no server": {"port": 1},
        "no host": {"hosts": ["n9"]},
    }.items():
        pool = client.pool("ssh", 1, **{"hosts": ["n2"], **options})
        try:
            pool.wait(1, timeout=100)
        except RainException as error:
            [place] = pool.places
            print(f"{name}: {place.state.value}: {place.reason} | {place.cause} | {error}".replace("\n", " / "))
        pool.close()
    RUNNING.touch()
    signal.pause()
