"""`rain k8s`: for which server, with which token, and who may read what it wrote."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rain.net.auth import Credentials
from rain.processes import connection_files


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """Of a server that is known here."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    made = Credentials.generate()
    made.certify()
    connection_files.write(connection_files.describe_server("10.0.0.1:7210", made, pid=os.getpid()))
    return made


def k8s(*words: str, to: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "rain", "k8s", *words]
    if to is None:
        return subprocess.run(command, capture_output=True, text=True)
    with open(to, "w") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True)


def test_a_manifest_in_a_file_is_its_users_alone(credentials: Credentials, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    done = k8s("--image", "registry/rain:1", "--places", "2", "--memory", "4Gi", "--time", "2:00:00", to=path)
    assert done.returncode == 0, done.stderr
    assert "its file is now yours alone (mode 0600)" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret, job = yaml.safe_load_all(path.read_text())
    assert Credentials.from_token(secret["stringData"]["token"]).keys == {"governor": credentials.key("governor")}
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["rain", "governor", "10.0.0.1:7210"]
    assert container["resources"]["limits"]["memory"] == str(4 << 30)


def test_a_server_that_listens_everywhere_is_named_by_the_addresses_of_its_host(credentials: Credentials) -> None:
    connection_files.write(connection_files.describe_server("0.0.0.0:7333", credentials, pid=os.getpid()))
    done = k8s("--image", "registry/rain:1", "--server", "0.0.0.0:7333")
    assert done.returncode == 0, done.stderr
    job = list(yaml.safe_load_all(done.stdout))[1]
    named = job["spec"]["template"]["spec"]["containers"][0]["command"][2].split(",")
    assert named
    assert "0.0.0.0:7333" not in named
    assert all(address.endswith(":7333") for address in named)


def test_what_cannot_be_is_refused(credentials: Credentials, tmp_path: Path) -> None:
    connection_files.write(connection_files.describe_server("127.0.0.1:7210", Credentials.generate(), pid=os.getpid()))
    for words, text in (
        (["--image", "i", "--server", "127.0.0.1:7210"], "where hosts of Kubernetes cannot reach it"),
        (["--image", "i", "--server", "10.9.9.9"], "10.9.9.9"),
        (["--image", "i", "--server", "10.0.0.1:7210", "--cpus", "0"], "cpus is a number from 1"),
        (["--server", "10.0.0.1:7210"], "--image"),
    ):
        done = k8s(*words)
        assert done.returncode != 0
        assert text in done.stderr
        assert not done.stdout
