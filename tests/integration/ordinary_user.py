"""What tasks of an ordinary user can do to their inputs; run by `test_damage.py` in a process of its own.

Prints a line of JSON for each scenario.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle

from rain import Client, Input, Program, RainException, remote

cloudpickle.register_pickle_by_value(sys.modules[__name__])
SIZE = 300_000
CHANGE = "chmod 644 $(readlink -f in) && printf spoilt | dd of=$(readlink -f in) conv=notrunc status=none"


@remote()
def make(ctx: Any) -> bytes:
    return b"x" * SIZE


@remote()
def spoil(ctx: Any, data: Any) -> bytes:
    path = data.reader.path()
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"spoilt")
    return b""


@remote()
def spoil_beside(ctx: Any, data: Any, started: str, done: str) -> bytes:
    until(started)
    path = data.reader.path()
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"spoilt")
    Path(done).touch()
    return b""


@remote()
def read(ctx: Any, data: Any, started: str, done: str) -> bytes:
    Path(started).touch()
    until(done)
    return data.get_bytes()


def until(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.005)


def error_of(session: Any, task: Any) -> str:
    """Its error, if it fails."""
    task.keep_outputs()
    session.submit()
    try:
        task.wait(timeout=60)
    except RainException as error:
        return str(error)
    return ""


def main(folder: str) -> None:
    with Client.local(cpus=2) as client:
        change = Program(CHANGE, shell=True, input_paths=[Input("data", path="in")])
        for name, spoiler in (("program", change), ("python", spoil)):
            with client.new_session(name) as session:
                made = make().output
                made.keep()
                error = error_of(session, spoiler(data=made))
                print(json.dumps([name, error, made.fetch().get_bytes() == b"x" * SIZE]))
        if os.environ.get("RAIN_USER_NAMESPACES") != "0":
            return
        with client.new_session("together") as session:
            started, done = f"{folder}/started", f"{folder}/done"
            made = make().output
            made.keep()
            reader = read(made, started, done, name="reader")
            reader.keep_outputs()
            error = error_of(session, spoil_beside(made, started, done, name="spoiler"))
            try:
                read_well = reader.output.fetch(timeout=60).get_bytes() == b"x" * SIZE
            except RainException as failure:
                read_well = "reader" in str(failure) and "spoiler" in str(failure)
            print(json.dumps(["together", error, read_well and made.fetch().get_bytes() == b"x" * SIZE]))


if __name__ == "__main__":
    main(sys.argv[1])
