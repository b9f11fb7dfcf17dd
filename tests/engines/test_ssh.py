"""Rain on hosts with real ssh servers and networks of their own, which lose connections, and come and go."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.hosts import LOGIN as HERE
from tests.engines.ssh_hosts import NOBODY, SshHosts, make_key, missing
from tests.integration.test_restart import version
from tests.integration.test_restart_protocols import PROTOCOL
from tests.snippets import blocks
from tests.support.waiting import at_this_load, until

pytestmark = pytest.mark.engines
SCRIPTS = Path(__file__).parent / "scripts"
ROOT = Path(__file__).resolve().parents[2]
ADDRESS = f"{HERE}:7210"


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHosts]:
    why = missing()
    if why:
        pytest.skip(why)
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    (tmp_path / "home").mkdir(0o700)
    (tmp_path / "ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", "/tmp")
    made = SshHosts(tmp_path / "ssh", kept=(tmp_path / "home", ROOT, Path(sys.prefix)))
    yield made
    made.close()


def rain(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "rain", *words]


def governors(hosts: SshHosts, host: str) -> set[int]:
    """The processes of those on a host."""
    return set(map(int, hosts.on(host, "pgrep -x rain-governor").split())) & hosts.found(host=host).keys()


def gone(hosts: SshHosts) -> bool:
    """Whether nothing of Rain runs anywhere, and no ssh."""
    return not hosts.found("rain", "hold") and not hosts.found("rain/__main__") and not hosts.found("ssh -T")


def test_hosts_that_are_taken_away_lose_nothing(hosts: SshHosts, tmp_path: Path) -> None:
    words = ["--hosts", "n1,n2,n3,n9", "--listen", HERE, "--logdir", str(tmp_path / "home" / "logs")]
    started = hosts.run(*rain("start", *words))
    assert "with 3 governors" in started
    assert "no governor on n9: there is no host n9 that the resolver here or ssh's configuration knows" in started
    words = [sys.executable, "-P", str(SCRIPTS / "departure.py"), ADDRESS, str(tmp_path / "home")]
    with hosts.start(words) as script:
        begun = tmp_path / "home" / "hundred-are-done"
        until(lambda: begun.exists() or script.poll() is not None, "a hundred tasks done")
        hosts.take_away("n1")
        hosts.take_away("n2", signal.SIGTERM)
        output, _ = script.communicate()
    assert script.returncode == 0, f"{output}\n{hosts.logs()}"
    assert "hosts n1 n2 n3" in output
    # What a killed host ran begins elsewhere once more; what had finished has not.
    assert int(re.search(r"ran twice (\d+)", output)[1]) <= 8, output  # type: ignore[index]
    stop = re.search(r"stop it +rain (stop \S+)", started)
    assert stop is not None, started
    begin = time.monotonic()
    hosts.run(*rain(*stop[1].split()))
    until(lambda: gone(hosts), "nothing left on the hosts")
    assert time.monotonic() - begin < at_this_load(3)


def test_a_governor_that_is_killed_comes_back_with_what_it_held(hosts: SshHosts, tmp_path: Path) -> None:
    """Of `rain start`, whose server another version has taken the place of meanwhile."""
    agreed = tmp_path / "home" / "agreed"
    new = version(tmp_path / "home" / "next", ("__init__.py", '__version__ = "', '__version__ = "98.'), PROTOCOL)
    started = hosts.run(*rain("start", "--hosts", "n1,n2", "--listen", HERE, "--logdir", f"{tmp_path}/home/logs"))
    assert "with 2 governors" in started
    agreed.mkdir()
    with hosts.start([sys.executable, "-P", str(SCRIPTS / "stays.py"), ADDRESS, str(agreed), "2"]) as script:
        until(lambda: (agreed / "begun").exists() or script.poll() is not None, "all run")
        hosts.run(sys.executable, "-P", new, "restart")
        assert "98." in hosts.run(*rain("status"))
        killed = governors(hosts, "n1")
        hosts.kill(killed)
        until(lambda: governors(hosts, "n1") - killed, "another one")
        (agreed / "happened").touch()
        output, _ = script.communicate()
    assert script.returncode == 0, f"{output}\n{hosts.logs()}"
    assert re.search(r"long tasks began \d \d\nobjects were made 1 times on n1 n2\ngovernors 2\n", output), output
    hosts.run(*rain("stop"))
    until(lambda: gone(hosts), "nothing left on the hosts")


def test_a_host_reads_what_was_made_beside_a_server_that_listens_on_all_addresses(hosts: SshHosts) -> None:
    hosts.run(*rain("start", "--hosts", "login,n1", "--listen", "0.0.0.0:7210"))
    told = hosts.run(sys.executable, "-P", str(SCRIPTS / "both_ways.py"), "127.0.0.1:7210")
    assert "each read what the other made" in told
    hosts.run(*rain("stop", "7210"))
    until(lambda: gone(hosts), "nothing left on the hosts")


def test_lost_connections_and_stopped_ssh_servers_lose_no_governor(hosts: SshHosts, tmp_path: Path) -> None:
    agreed = tmp_path / "home" / "agreed"
    agreed.mkdir()
    words = [sys.executable, "-P", str(SCRIPTS / "on_hosts.py"), NOBODY, str(agreed)]
    with hosts.start(words) as script:

        def known(name: str) -> None:
            until(lambda: (agreed / name).exists() or script.poll() is not None, name)
            assert script.poll() is None, f"{script.communicate()[0]}\n{hosts.logs()}"

        known("begun")
        for number in range(3):
            known(f"long-{number}")
        sessions = hosts.found("sshd: root")
        hosts.kill(hosts.found("sshd", host="n2"))
        hosts.kill(hosts.found("ssh -T"))
        until(lambda: not sessions.keys() & hosts.found("sshd: root").keys(), "connections are lost")
        (agreed / "connections-are-lost").touch()
        known("ran")
        hosts.serve("n2")
        until(lambda: all(hosts.found("sshd: root", host=name) for name in ("n1", "n2")), "connections again")
        (agreed / "connections-are-back").touch()
        output, _ = script.communicate()
        ended = time.monotonic()
    assert script.returncode == 0, f"{output}\n{hosts.logs()}"
    assert len(sessions) >= 2
    for line in ("meanwhile True", "long tasks ran once on n1 n2", "<Pool on ssh: 1 up, 1 leaving, 1 ended>"):
        assert f"\n{line}\n" in output, output
    assert re.search(r"third: 3 places cannot come up: <Place 3: ended, .*the host does not answer ssh in time", output)
    assert re.search(r"place 3 printed:\nssh: connect to host \S+ port \d+: Connection timed out", output), output
    until(lambda: gone(hosts), "nothing left on the hosts")
    assert time.monotonic() - ended < at_this_load(3)
    assert hosts.on("n1", "ls -A /dev/shm /tmp").split() == ["/dev/shm:", "/tmp:", *kept_below_tmp(tmp_path)]


def kept_below_tmp(tmp_path: Path) -> list[str]:
    """What hosts see below /tmp of the folders that they share."""
    parts = [path.parts for path in (tmp_path, ROOT, Path(sys.prefix))]
    return sorted({names[2] for names in parts if names[1] == "tmp"})


def test_what_cannot_start_says_why_and_a_killed_client_leaves_nothing(hosts: SshHosts, tmp_path: Path) -> None:
    other_key = tmp_path / "home" / "other"
    make_key(other_key)
    other_python = tmp_path / "home" / "python"
    patch = "import platform; platform.python_version_tuple = lambda: ('3', '99', '0')"
    other_python.write_text(
        f'#!/bin/sh\nshift 3\nexec {sys.executable} -P -c "{patch}; from rain.cli import main; main()" "$@"\n'
    )
    other_python.chmod(0o755)
    running = tmp_path / "home" / "running"
    given = [str(other_key), str(hosts.folder / "known"), str(other_python), str(running)]
    words = [sys.executable, "-P", str(SCRIPTS / "refused_hosts.py"), *given]
    with hosts.start(words) as script:
        until(lambda: running.exists() or script.poll() is not None, "a client that runs")
        assert hosts.found("rain", "hold", host="n1")
        hosts.kill(hosts.found(str(SCRIPTS / "refused_hosts.py")))
        output, _ = script.communicate()
    lines = dict(line.split(": ", 1) for line in output.splitlines()[1:])
    assert lines["slow host"] == "<Pool on ssh: 1 up>", output
    assert lines["constant"] == "b'end'", output  # of a server that listens at all addresses
    for name, cause in {
        "wrong key": "ssh was refused",
        "no python": "there is no Python /nowhere/python there (python=)",
        "no rain": "Rain is not installed in the Python that runs there",
        "other python": "the Python there has another version than the server's (3.99 and ",
        "no server": "no ssh server listens on n2 at port 1",
        "no host": "there is no host n9 that the resolver here",
    }.items():
        assert lines[name].startswith(f"ended: {cause}"), (name, output)
        assert f"place 1: {cause}" in lines[name], (name, output)
    until(lambda: gone(hosts), "nothing left on the hosts")


def test_what_the_manual_says(hosts: SshHosts, tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh").mkdir(0o700)
    (tmp_path / "home" / ".ssh" / "cluster").symlink_to(hosts.keys / "user")
    section = tmp_path / "section.md"
    section.write_text(manual("Hosts over ssh"))
    script = tmp_path / "home" / "manual.py"
    python = "".join(source for _, source in blocks(section, "python"))
    script.write_text(f"import sys\nfrom rain import Client\n{python}client.close()\n")
    output = hosts.python(script)
    assert re.search(r"<Place 1: (up|starting), job n1/1>", output), output
    [(_, shell)] = blocks(section, "sh")
    output = hosts.run("sh", "-ec", shell.replace("rain ", f"{sys.executable} -P -m rain "))
    assert "with 2 governors" in output
    until(lambda: gone(hosts), "nothing left on the hosts")


def manual(title: str) -> str:
    """A section of the page on clusters."""
    text = (ROOT / "docs" / "clusters.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]
