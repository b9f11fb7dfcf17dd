"""``rain hold``: a governor on a host that was started over ssh and outlives the connection.

Only Rain itself runs it, over ssh (`rain.deploy.hosts`): ``rain hold NAME governor SERVER …``, the token on the first
line of standard input. Without ``governor …`` nothing is started.

Theory of operation
-------------------
Three processes: the *relay*, which ssh started and which ends with the connection; the *holder*, which the first relay
forks, in a session of its own; and the governor, the holder's child. A further ``rain hold NAME``, over another
connection, finds the holder and becomes its relay; so a connection that was lost is replaced while tasks run.

Until the governor has registered it belongs to the connection: if there is none for a few seconds the holder ends it.
From then on it belongs to its server, as every governor does, and ends when the server dismisses it, or was lost for a
minute. So nothing stays on a host whose client is gone, also if the host could not be reached when that happened. The
holder tells the relay what became of the governor, waits `HELD_END_S` for a relay if the governor has left and its
server still runs, and removes the folder with the governor's log. It takes the part of a guardian: it is the subreaper,
removes the folders of a killed governor, and its end ends the governor.

The relay writes lines that begin with `WORD`, then JSON, to standard output (login scripts may write there too), and
the governor's log to standard error. It reads ``leave`` and ``end`` from standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from rain.common.errors import RainException
from rain.common.limits import HELD_END_S, HOST_ALIVE_S, LOG_BYTES_MAX
from rain.common.protocol.address import parse_address
from rain.host.process_table import descendants, is_alive, start_time
from rain.host.signals import signal_all
from rain.host.starting import become_subreaper, close_all_but
from rain.processes.guarding.guarded_process import GuardedProcess, become, redirect_output
from rain.processes.keeper import FOLDERS_ARGUMENT, remove_later
from rain.processes.logs import bound_log
from rain.processes.private_folders import check_private
from rain.processes.scratch import HELD, Scratch

WORD = "rain-hold: "
LEAVE, END = b"leave", b"end"
_TOKEN_BYTES_MAX = 1000
_LINE_BYTES_MAX = 65536
_TAIL_BYTES = 4096
_ALONE_S = 5.0
"""How long a governor that has not registered waits for another connection."""
_END_S = 8.0
"""Seconds from SIGINT to SIGKILL."""
_LOOK_S = 0.5
_REMOVING_S = 20.0
_PROBE_S = 2.0
_LOG, _ABOUT, _SOCKET, _ID, _LEFT, _SEEN = "governor.log", "held.json", "socket", "id", "left", "seen"


def main(words: Sequence[str], entry: str) -> int:
    """Be the relay of a governor, which is started if it is not there; returns the exit status.

    Parameters
    ----------
    words : sequence of str
        The name, then the governor's arguments, ``governor`` first, or none.
    entry : str
        ``module:function`` that runs the governor; called with its arguments, it returns the exit status.
    """
    if not words or not re.fullmatch(r"[0-9a-f]{8,64}", words[0]):
        sys.stderr.write("rain hold: is run by Rain itself, over ssh\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):  # it reports the governor's end
        signal.signal(number, lambda *_: None)
    early: bytes | None = None
    try:
        token = _line_of(0)
        found = _find(words[0])
        if found is None:
            if not words[1:]:
                return _say({"event": "ended", "status": 0, "reason": "it was not there any more"})
            early = _there(0)
            if early == b"":
                return 1  # the connection that asked for it is gone
            found = _start(words[0], words[1:], token, entry)
        return _Relay(*found).run(early or b"")
    except BrokenPipeError:
        return 1
    except (RainException, OSError) as error:
        sys.stderr.write(f"rain hold: {error}\n")
        return 1


def _line_of(descriptor: int) -> bytes:
    """The next line, and not a byte more, because words for the holder follow."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _TOKEN_BYTES_MAX:
        more = os.read(descriptor, 1)
        if not more:
            break
        line += more
    return line.strip()


def _there(descriptor: int) -> bytes | None:
    """The words for the holder that have come by now; None if none have come yet, empty if no more come."""
    return os.read(descriptor, _LINE_BYTES_MAX) if select.select([descriptor], [], [], 0)[0] else None


def _say(event: dict[str, Any]) -> int:
    sys.stdout.write(f"{WORD}{json.dumps(event)}\n")
    sys.stdout.flush()
    return 0


def _address(folder: str) -> str:
    """The address of the holder's socket, by a descriptor: the folder's path may be longer than addresses may be."""
    return f"/proc/self/fd/{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}/{_SOCKET}"


def _find(name: str) -> tuple[str, socket.socket] | None:
    """The folder of the holder called `name`, and a connection to it; None if there is none that lives."""
    parent = tempfile.gettempdir()
    for entry in os.listdir(parent):
        folder = os.path.join(parent, entry)
        try:
            if not entry.startswith(HELD) or (about := _about(folder))["name"] != name:
                continue
            if not is_alive(about["pid"]) or start_time(about["pid"]) != about["started"]:
                continue
            return folder, _connect(folder)
        except (OSError, ValueError, KeyError, RainException):  # another user's, or one that is being removed
            continue
    return None


def _about(folder: str) -> dict[str, Any]:
    check_private(folder, "folder", 0o700)
    with open(os.path.join(folder, _ABOUT), encoding="ascii") as file:
        found = json.load(file)
    return found if isinstance(found, dict) else {}


def _connect(folder: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(_address(folder))
    except BaseException:
        connection.close()
        raise
    return connection


def _start(name: str, governor: Sequence[str], token: bytes, entry: str) -> tuple[str, socket.socket]:
    """Fork the holder; returns its folder, and a connection to it."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _hold(name, list(governor), token, entry, tell)
    os.close(tell)
    with open(told, encoding="utf-8") as file:
        folder = file.readline().rstrip("\n")
    if not folder:
        raise RainException("no folder could be made for the governor on this host")
    return folder, _connect(folder)


class _Relay:
    """The relay: passes on words between ssh and the holder.

    Parameters
    ----------
    folder : str
    holder : socket.socket
    """

    def __init__(self, folder: str, holder: socket.socket) -> None:
        self._folder = folder
        self._holder = holder
        self._log = os.open(os.path.join(folder, _LOG), os.O_RDONLY | os.O_CREAT, 0o600)
        self._partial = b""
        self._alive_at = time.monotonic() + HOST_ALIVE_S

    def run(self, early: bytes = b"") -> int:
        """Relay until the governor or the connection has ended; `early` are words for the holder that came already."""
        _say({"event": "held", "host": socket.gethostname()})
        if early:
            self._holder.sendall(early)
        while True:
            holder = self._holder.fileno()
            for source in select.select([0, holder], [], [], _LOOK_S)[0]:
                data = os.read(source, _LINE_BYTES_MAX)
                if not data:
                    return 0 if source == 0 else 1
                if source == 0:
                    self._holder.sendall(data)
                elif self._tell(data):
                    return 0
            self._pass_on_log()
            if time.monotonic() > self._alive_at:
                # A connection that is lost on this side only is noticed by writing.
                self._alive_at = time.monotonic() + HOST_ALIVE_S
                _say({"event": "alive"})

    def _tell(self, data: bytes) -> bool:
        """Pass on what the holder says; returns whether it said that the governor has ended."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["event"] == "ended":
                self._pass_on_log()
                # Standard output and error are separate ways: this may arrive first.
                size = os.fstat(self._log).st_size
                event["printed"] = os.pread(self._log, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
            _say(event)
            if event["event"] == "ended":
                return True
        return False

    def _pass_on_log(self) -> None:
        path = os.path.join(self._folder, _SEEN)
        try:
            with open(path, encoding="ascii") as file:
                seen = int(file.read() or 0)
        except (OSError, ValueError):
            seen = 0
        size = os.fstat(self._log).st_size
        if size < seen:
            seen = 0  # it has become too long, and begins anew
        while data := os.pread(self._log, _LINE_BYTES_MAX, seen):
            sys.stderr.buffer.write(data)
            sys.stderr.flush()
            seen += len(data)
            try:
                with open(path, "w", encoding="ascii") as file:
                    file.write(str(seen))
            except OSError:  # the disk is full; another relay would show these lines again
                pass


def _hold(name: str, governor: list[str], token: bytes, entry: str, tell: int) -> NoReturn:
    """In a child that was just forked: be the holder."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)  # the governor heeds signals that a host sends to all its processes
        with open("/proc/self/comm", "w") as comm:
            comm.write("rain-holder")
        scratch = Scratch(tempfile.gettempdir(), HELD)
        try:
            _Holder(scratch, name, governor, token, entry, tell).run()
            status = 0
        finally:
            scratch.close()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


class _Holder:
    """The holder: starts a governor, and ends with it.

    Parameters
    ----------
    scratch : Scratch
    name : str
    governor : list of str
        The governor's arguments.
    token : bytes
    entry : str
    tell : int
        Descriptor at which the relay waits for the folder.
    """

    def __init__(self, scratch: Scratch, name: str, governor: list[str], token: bytes, entry: str, tell: int) -> None:
        folder = self._folder = scratch.path
        become_subreaper()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(_address(folder))
        self._listener.listen(4)
        about = {"name": name, "pid": os.getpid(), "started": start_time(os.getpid())}
        with open(os.path.join(folder, _ABOUT), "x", encoding="ascii") as file:
            json.dump(about, file)
        self._log = os.path.join(folder, _LOG)
        redirect_output(self._log)
        os.write(tell, f"{folder}\n".encode())
        self._servers = governor[1].split(",") if len(governor) > 1 else []
        self._relay: socket.socket | None = None
        self._heard = b""
        self._events: list[dict[str, Any]] = []
        self._alone_until: float | None = time.monotonic() + _ALONE_S
        self._kill_at: float | None = None
        self._registered = False
        self._start(governor, token, entry)
        kept = {self._listener.fileno(), self._pidfd, self._ready, self._below[1]}
        folders = self._process.folders
        # Above all ssh's pipes: the connection would stay open for as long as this process holds them.
        close_all_but({*kept, folders.listen, folders.tell, scratch.lock})

    def _start(self, governor: list[str], token: bytes, entry: str) -> None:
        given, give = os.pipe()
        os.write(give, token + b"\n")
        os.close(give)
        self._below = os.pipe()
        self._ready, ready = os.pipe()
        arguments = [*governor, "--token-file", f"/dev/fd/{given}", "--ready-file", "{ready}"]
        arguments += ["--id-file", os.path.join(self._folder, _ID), "--left-file", os.path.join(self._folder, _LEFT)]
        arguments += ["--lifeline", "{lifeline}", "--folders", FOLDERS_ARGUMENT]
        if "--logdir" not in governor:
            arguments += ["--logdir", self._folder]
        self._process = GuardedProcess({"name": "governor", "command": [], "log": self._log, "keep": [given]})
        self._process.arguments = arguments
        self._pid = os.fork()
        if self._pid == 0:
            module, _, function = entry.partition(":")
            become(self._process, ready, None, self._below[0], getattr(importlib.import_module(module), function))
        os.close(ready)
        self._pidfd = os.pidfd_open(self._pid)

    # -- until the governor has ended -----------------------------------------------------------

    def run(self) -> None:
        """Hold the governor until it has ended and a relay was told of it."""
        looked_at = time.monotonic()
        while not self._wait(_LOOK_S):
            now = time.monotonic()
            if self._alone_until is not None and now > self._alone_until:
                self._alone_until = None
                self._ask(signal.SIGINT)
            if self._kill_at is not None and now > self._kill_at:
                signal_all([*descendants(self._pid), self._pid], signal.SIGKILL)
            if now - looked_at > HOST_ALIVE_S:
                looked_at = now
                bound_log(self._log, LOG_BYTES_MAX)
        ended = self._reap()
        self._tell(ended)
        # A governor that died is started again all the same; one that left on purpose must not be.
        left = bool(ended["reason"]) and not ended["server"]
        deadline = time.monotonic() + (HELD_END_S if left else 0.0)
        while self._relay is None and time.monotonic() < deadline and self._server_is_there():
            self._wait(_PROBE_S)
        # A relay that was told closes the connection when it has shown the last lines.
        deadline = time.monotonic() + _ALONE_S
        while self._relay is not None and time.monotonic() < deadline:
            self._wait(_LOOK_S)

    def _server_is_there(self) -> bool:
        """Whether a process listens at the server's address; if none does there is no server to be told."""
        for address in self._servers:
            try:
                socket.create_connection(parse_address(address), _PROBE_S).close()
            except OSError:
                continue
            return True
        return False

    def _wait(self, timeout_s: float) -> bool:
        """Wait for events, and handle them; returns whether the governor has ended."""
        folders = self._process.folders
        watched: list[Any] = [self._listener, folders.listen]
        watched += [self._pidfd] if self._pidfd >= 0 else []
        watched += [self._ready] if self._ready >= 0 else []
        watched += [self._relay] if self._relay is not None else []
        for source in select.select(watched, [], [], timeout_s)[0]:
            if source is self._listener:
                self._accept()
            elif source is self._relay:
                self._hear()
            elif source == folders.listen:
                folders.receive()
            elif source == self._ready:
                self._read_ready()
            elif source == self._pidfd:  # else a relay that `_accept` has replaced
                return True
        return False

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if self._relay is not None:
            self._relay.close()  # the connection before was lost, and its end has not noticed
        self._relay, self._heard = connection, b""
        self._alone_until = None
        for event in self._events:
            self._send(event)

    def _hear(self) -> None:
        assert self._relay is not None
        try:
            data = self._relay.recv(_LINE_BYTES_MAX)
        except OSError:
            data = b""
        if not data:
            self._relay.close()
            self._relay = None
            if not self._registered:
                self._alone_until = time.monotonic() + _ALONE_S
            return
        *words, self._heard = (self._heard + data).split(b"\n")
        for word in words:
            if word == LEAVE:
                self._ask(signal.SIGTERM)
            elif word == END:
                self._ask(signal.SIGINT)

    def _ask(self, number: int) -> None:
        if self._pidfd >= 0:
            if number == signal.SIGINT and self._kill_at is None:
                self._kill_at = time.monotonic() + _END_S
            signal.pidfd_send_signal(self._pidfd, number)

    def _read_ready(self) -> None:
        if b"ready\n" in os.read(self._ready, _LINE_BYTES_MAX):
            self._registered, self._alone_until = True, None
            self._tell({"event": "governor", "governor": self._line_in(_ID)})
        else:
            os.close(self._ready)
            self._ready = -1

    def _line_in(self, name: str) -> str:
        try:
            with open(os.path.join(self._folder, name), encoding="utf-8", errors="replace") as file:
                return file.readline().strip()
        except OSError:
            return ""

    def _tell(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        self._send(event)

    def _send(self, event: dict[str, Any]) -> None:
        if self._relay is not None:
            try:
                self._relay.sendall(json.dumps(event).encode() + b"\n")
            except OSError:  # it is gone, which `_hear` notices
                pass

    def _reap(self) -> dict[str, Any]:
        """The governor has ended: find out how, and end and remove all that it left."""
        _, status = os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._pidfd = -1
        self._alone_until = self._kill_at = None
        folders = self._process.folders
        folders.died()
        deadline = time.monotonic() + _REMOVING_S
        while True:
            signal_all(descendants(os.getpid()), signal.SIGKILL)
            _reap_orphans()
            if folders.remove(heirs=True) or folders.awaited() or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not folders.remove(heirs=True):
            remove_later(folders)
        by, _, reason = self._line_in(_LEFT).partition(": ")  # empty if it did not end by itself
        exit_status = os.waitstatus_to_exitcode(status)
        return {"event": "ended", "status": exit_status, "reason": reason, "server": by == "server"}


def _reap_orphans() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
