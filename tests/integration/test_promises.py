"""Promises about the processes of a cluster as somebody outside sees them: listeners, secrets, leftovers."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, blob, remote, tasks
from rain.common.protocol.address import is_loopback
from tests.support.processes import Marked
from tests.support.waiting import until


@remote(auto_encode="json")
def environment(ctx: Any) -> dict[str, str]:
    import os

    return dict(os.environ)


def connection_file(client: Client) -> Path:
    """Of a private cluster, found through the folder that one of its processes works in."""
    (found,) = (
        path
        for path in Path(os.environ.get("TMPDIR", "/tmp")).glob("rain-local-*/connection.json")
        if json.loads(path.read_text())["address"] == client.get_server_info()["address"]
    )
    return found


def test_all_listeners_are_on_loopback(marked: Marked) -> None:
    with Client.local(cpus=2, governors=2) as client, client.new_session("run") as session:
        session.run(tasks.Execute(["true"]), environment())
        listeners = [
            connection.laddr.ip
            for process in marked.processes()
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(listeners) >= 4  # of the server two, of each governor one
        assert all(is_loopback(ip) for ip in listeners)


def test_secrets_are_nowhere_but_in_the_connection_file(marked: Marked) -> None:
    with Client.local(cpus=1) as client, client.new_session("secrets") as session:
        path = connection_file(client)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        keys = json.loads(path.read_text())["keys"]
        assert len(keys) >= 3
        secrets = [form for key in keys.values() for form in (key, base64.b64decode(key).hex())]
        secrets.append(client.http_headers["Authorization"].split()[-1])
        program = tasks.Execute(["env"], stdout="env")
        seen = [str(session.run(environment(), program)), repr(client), repr(session)]
        for process in marked.processes():
            for name in ("cmdline", "environ"):
                seen.append(Path(f"/proc/{process.pid}/{name}").read_bytes().decode(errors="replace"))
        for file in path.parent.rglob("*"):
            if file.is_file() and file != path:
                seen.append(file.read_bytes().decode(errors="replace"))
        assert not [text[:200] for text in seen for secret in secrets if secret in text]


def test_a_token_in_the_environment_does_not_reach_tasks(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIN_TOKEN", "rain1-canary")
    with Client.local(cpus=1) as client, client.new_session("token") as session:
        assert "rain1-canary" not in json.dumps(session.run(environment()))
        assert b"rain1-canary" not in session.run(tasks.Execute(["env"], stdout="env"))


def folders_in_use(marked: Marked) -> set[Path]:
    """Rain's folders on the memory file system in which the marked processes have files open."""
    found = set()
    for process in marked.processes():
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("/dev/shm/rain-"):
                found.add(Path(*Path(target).parts[:4]))
    return found


def test_no_file_is_left_behind(marked: Marked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a client that closes nor by one that is killed."""
    code = (
        "import sys, time\n"
        "from rain import Client, tasks, blob\n"
        "client = Client.local(cpus=1)\n"
        "session = client.new_session(default=True)\n"
        "kept = tasks.Execute('head -c 1000000 /dev/zero', stdout='zeros')\n"
        "kept.output.keep(); session.submit(); kept.wait()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read() or client.close()\n"
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for how in ("close", "kill"):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == "ready\n"
            assert os.listdir(tmp_path)
            memory_folders = folders_in_use(marked)
            assert memory_folders
            if how == "kill":
                process.kill()
            else:
                process.stdin.close()
        until(lambda: not marked.processes(), "all processes are gone")
        assert os.listdir(tmp_path) == []
        assert not [folder for folder in memory_folders if folder.exists()]


def test_every_result_is_the_same_on_one_governor_and_on_three(marked: Marked) -> None:
    def total(client: Client) -> bytes:
        with client.new_session("sum") as session:
            layer: list[Any] = [blob(str(i)) for i in range(16)]
            while len(layer) > 1:
                layer = [tasks.Concat(layer[i : i + 2]) for i in range(0, len(layer), 2)]
            result: bytes = session.run(layer[0])
            return result

    with Client.local(cpus=1) as one, Client.local(cpus=3, governors=3) as three:
        assert total(one) == total(three) == b"".join(str(i).encode() for i in range(16))
