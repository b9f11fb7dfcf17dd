"""A client without `fcntl`, `termios`, `resource`, ``memfd_create`` and ``/dev/shm``, whose server is on another host.

python bare_client.py ADDRESS CONNECTION_FILE FOLDER
"""

from __future__ import annotations

import importlib.abc
import os
import sys
from pathlib import Path
from typing import Any

MISSING = {"fcntl", "termios", "resource", "pwd", "grp", "syslog"}


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def no_memory_files(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.mkdir", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/dev/shm"):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


for name in MISSING & set(sys.modules):
    del sys.modules[name]
sys.meta_path.insert(0, Missing())
del os.memfd_create
sys.addaudithook(no_memory_files)

import rain.host.machine  # noqa: E402

rain.host.machine.host_id = lambda: "another-host"

import rain  # noqa: E402
from rain import Client, InputDir, Program, TaskException, blob, directory, pickled, task, tasks  # noqa: E402


@task
def double(value: Any) -> Any:
    return [value, value] if isinstance(value, dict) else value * 2


@task
def broken() -> None:
    raise ValueError("on purpose")


def everything(client: Client) -> None:
    with client.new_session("bare", seed=1) as session:
        assert session.check()
        assert session.run(double.map(range(200))) == [2 * n for n in range(200)]
        large = bytes(range(256)) * 40_000
        assert double(large).result() == large * 2
        assert session.run(double(pickled({"a": large})))[1]["a"] == large
        Path("given").mkdir()
        Path("given", "a.txt").write_text("a")
        Path("given", "large").write_bytes(large)
        listing = Program(["ls", InputDir("folder")], stdout="names")
        assert session.run(listing(folder=directory("given"))) == b"a.txt\nlarge\n"
        made = tasks.MakeDirectory([("in/b", blob("b")), ("in/large", blob(large))])
        made.keep_outputs()
        session.submit()
        made.output.fetch().write("taken")
        assert Path("taken", "in", "large").read_bytes() == large
        assert session.run(tasks.Concat(rain.files(["given/a.txt", "given/large"]))) == b"a" + large
        failing = broken()
        found = failing.exception()
        assert isinstance(found, ValueError)
        assert isinstance(found.__cause__, TaskException)
        failing.capsule("box")
        session.report("run.html")
        assert client.get_server_info()["governors"]


def main() -> None:
    address, connection_file, folder = sys.argv[1:]
    os.chdir(folder)
    with Client(address, connection_file=connection_file) as client:
        everything(client)
    assert not MISSING & set(sys.modules), MISSING & set(sys.modules)
    print("all is well")


if __name__ == "__main__":
    main()
