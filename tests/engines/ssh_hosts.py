"""Hosts with real ssh servers for tests: OpenSSH 9.2 of Debian 12 (sshd_config(5), ssh_config(5))."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.engines import hosts
from tests.engines.hosts import NETWORK, Hosts

PROGRAMS = {"/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client", "bash": "bash"}
"""What it needs, and the Debian packages that have it."""
PORT = 2222
"""At which the ssh servers listen."""
NOBODY = f"{NETWORK}.99"
"""An address that no host has."""

_SERVER = """\
Port {port}
HostKey {folder}/keys/host
AuthorizedKeysFile {folder}/keys/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
"""
_CLIENT = """\
Host *
    UserKnownHostsFile {folder}/known
    IdentityFile {folder}/keys/user
    Port {port}
"""
_LOGIN = """\
mount --bind {folder}/ssh_config /etc/ssh/ssh_config
mkdir /run/sshd"""
_HOST = """\
readlink /proc/self/ns/uts >{folder}/uts.$number
/usr/sbin/sshd -D -e -f {folder}/sshd_config &
exec sleep infinity"""


def missing() -> str:
    """Why no such hosts can be made here; empty if they can."""
    return hosts.missing(PROGRAMS)


class SshHosts(Hosts):
    """A machine, and hosts n1, n2, … with ssh servers, which it and its user's key are known to.

    Parameters
    ----------
    folder : Path
        See `Hosts`, as of `kept`.
    count : int
    kept : sequence of Path
    """

    def __init__(self, folder: Path, count: int = 3, kept: Sequence[Path] = ()) -> None:
        self.keys = folder / "keys"
        self.keys.mkdir(mode=0o700)
        for name in ("host", "user"):
            make_key(self.keys / name)
        host_key = (self.keys / "host.pub").read_text()
        known = [f"[n{n}]:{PORT},[{NETWORK}.{n}]:{PORT} {host_key}" for n in range(1, count + 1)]
        (folder / "known").write_text("".join(known))
        for name, text in (("sshd_config", _SERVER), ("ssh_config", _CLIENT)):
            (folder / name).write_text(text.format(folder=folder, port=PORT))
        super().__init__(folder, count, kept, _LOGIN.format(folder=folder), _HOST.format(folder=folder), {})
        self._names = {f"n{number}": (folder / f"uts.{number}").read_text().strip() for number in self.numbers}

    def idle(self) -> int:
        """How many ssh servers listen."""
        tries = " ".join(f"(exec 3<>/dev/tcp/n{number}/{PORT}) 2>&- && echo;" for number in self.numbers)
        with self.start(["bash", "-c", tries]) as process:
            output, _ = process.communicate()
        return len(output.splitlines())

    def found(self, *words: str, host: str = "") -> dict[int, str]:
        """Command lines of processes with all these words in them, by their ids there; of one host, or all."""
        found = {}
        for pid in map(int, filter(str.isdigit, os.listdir(self._proc))):
            try:
                line = Path(f"{self._proc}/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                name = os.readlink(f"{self._proc}/{pid}/ns/uts") if host else ""
            except OSError:
                continue
            if line and all(word in line for word in words) and (not host or name == self._names[host]):
                found[pid] = line
        return found

    @property
    def _proc(self) -> str:
        return f"/proc/{self._first}/root/proc"

    def kill(self, pids: Iterable[int], number: int = signal.SIGKILL) -> None:
        """Send a signal to processes, by their ids there."""
        given = list(map(str, pids))
        if given:  # some may have ended meanwhile
            with self.start(["kill", f"-{int(number)}", *given]) as process:
                process.communicate()

    def take_away(self, host: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to everything on a host, as happens when it is switched off."""
        self.kill([pid for pid, line in self.found(host=host).items() if not _stays(line)], number)

    def on(self, host: str, line: str) -> str:
        """What a shell's line printed on a host, not over ssh."""
        first = next(pid for pid, words in self.found(host=host).items() if _stays(words))
        return self.run("nsenter", f"--target={first}", "--mount", "--net", "--uts", "--", *shlex.split(line))

    def serve(self, host: str) -> None:
        """Start the ssh server of a host again."""
        self.on(host, f"/usr/sbin/sshd -f {self.folder}/sshd_config")


def _stays(line: str) -> bool:
    return "sleep infinity" in line


def make_key(path: Path) -> None:
    """A new key for ssh."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
