"""A login node and some hosts for tests, each with a network, a host name, /tmp and /dev/shm of its own.

All of it lives in namespaces of one process: when that ends, so does everything; nothing of the machine is changed
(namespaces(7), veth(4)).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.waiting import until

NETWORK = "10.99.0"
LOGIN = f"{NETWORK}.254"

# Everything that follows is below one process with namespaces of its own for processes, mounts, network and host name.
_LOGIN = """\
set -eu
mount --make-rprivate /
mount -t tmpfs none /dev/shm
hostname login
mount --bind {folder}/hosts /etc/hosts
mount -t tmpfs none /run
ip link set lo up
ip link add bridge type bridge
ip addr add {login}/24 dev bridge
ip link set bridge up
{daemons}
for number in {numbers}; do
    unshare --net --mount --uts --propagation private sh {folder}/host.sh $number >{folder}/log/host.$number 2>&1 &
    pid=$!
    until [ -e {folder}/host.$number.apart ]; do sleep 0.01; done
    ip link add host$number type veth peer name eth0 netns $pid
    ip link set host$number master bridge up
done
touch {folder}/begun
exec sleep infinity
"""
_HOST = """\
set -eu
number=$1
touch {folder}/host.$number.apart
hostname n$number
until ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
ip link set lo up
ip addr add {network}.$number/24 dev eth0
ip link set eth0 up
mkdir -p {folder}/tmp.$number
mount -t tmpfs none {folder}/tmp.$number
for kept in {kept}; do
    here={folder}/tmp.$number/${{kept#/tmp/}}
    case $kept in /tmp/*) mkdir -p $here; mount --bind $kept $here ;; esac
done
mount --rbind {folder}/tmp.$number /tmp
chmod 1777 /tmp
mount -t tmpfs none /dev/shm
{daemon}
"""


def missing(programs: Mapping[str, str]) -> str:
    """Why no such hosts can be made here; empty if they can.

    Parameters
    ----------
    programs : mapping of str to str
        What runs there, and the Debian packages that have it.
    """
    if os.getuid() != 0:
        return "needs root, for namespaces"
    needed = {**programs, "ip": "iproute2", "nsenter": "util-linux"}
    packages = sorted({package for program, package in needed.items() if shutil.which(program) is None})
    if packages:
        return f"needs Debian's {', '.join(packages)}"
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "here", "type", "veth", "peer", "name", "there"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no network between namespaces can be made here: {made.stderr.strip()}" if made.returncode else ""


class Hosts:
    """A login node and hosts n1, n2, …, which see the file system but for /tmp and /dev/shm.

    Parameters
    ----------
    folder : Path
        An empty folder for it, seen by all hosts.
    count : int
        How many hosts.
    kept : sequence of Path
        Other folders that all hosts see though they are below /tmp.
    daemons : str
        Shell commands that start what runs on the login node.
    daemon : str
        Those that start what runs on each host, whose number is ``$number``; the last does not return.
    environment : mapping of str to str
        For commands on the login node, beside this process's.

    Attributes
    ----------
    folder : Path
    count : int
    """

    def __init__(
        self, folder: Path, count: int, kept: Sequence[Path], daemons: str, daemon: str, environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.count = count
        self._environment = dict(environment)
        (folder / "log").mkdir()
        names = [f"{LOGIN} login", *(f"{NETWORK}.{n} n{n}" for n in self.numbers), "127.0.0.1 localhost"]
        (folder / "hosts").write_text("\n".join(names) + "\n")
        words = {
            "folder": folder, "login": LOGIN, "network": NETWORK, "numbers": " ".join(map(str, self.numbers)),
            "kept": " ".join(map(str, (folder, *kept))), "daemons": daemons, "daemon": daemon,
        }  # fmt: skip
        (folder / "login.sh").write_text(_LOGIN.format(**words))
        (folder / "host.sh").write_text(_HOST.format(**words))
        apart = ["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with open(folder / "log" / "login", "wb") as log:
            self._process = subprocess.Popen(
                ["unshare", *apart, "sh", str(folder / "login.sh")], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            until(self._begun, "the daemons started")
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            self._first = int(children.read_text().split()[0])
            until(lambda: self.idle() == count, f"{count} idle hosts")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self.logs()}") from None
        except BaseException:
            self.close()
            raise

    @property
    def numbers(self) -> range:
        """Of the hosts."""
        return range(1, self.count + 1)

    def _begun(self) -> bool:
        assert self._process.poll() is None, f"the login node did not start: {self.logs()}"
        return (self.folder / "begun").exists()

    def close(self) -> None:
        """End all of it."""
        self._process.kill()
        self._process.wait()

    def start(self, words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """A command on the login node."""
        inside = ["nsenter", f"--target={self._first}", "--mount", "--net", "--uts", "--pid", "--"]
        environment = {**os.environ, **self._environment, **options.pop("env", {})}
        settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
        return subprocess.Popen([*inside, *words], env=environment, stdin=subprocess.DEVNULL, **settings)

    def run(self, *words: str, **options: Any) -> str:
        """What a command on the login node printed; it must succeed."""
        with self.start(words, **options) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, f"{' '.join(words)}: status {process.returncode}\n{output}\n{self.logs()}"
        return output

    def python(self, script: Path, *words: str) -> str:
        """What a script printed that ran on the login node."""
        return self.run(sys.executable, str(script), *words)

    def idle(self) -> int:
        """How many hosts run nothing."""
        raise NotImplementedError

    def processes(self, word: str) -> list[str]:
        """Command lines of processes with `word` in them, on all hosts."""
        found = []
        for pid in filter(str.isdigit, os.listdir(f"/proc/{self._first}/root/proc")):
            try:
                line = Path(f"/proc/{self._first}/root/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in line:
                found.append(line.replace(b"\0", b" ").decode(errors="replace"))
        return found

    def logs(self) -> str:
        """The ends of all logs."""
        texts = []
        for path in sorted((self.folder / "log").iterdir()):
            texts.append(f"{path.name}: " + " | ".join(path.read_text(errors="replace").splitlines()[-3:]))
        return "\n".join(texts)
