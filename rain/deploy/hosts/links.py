"""The ssh processes to hosts, and one thread that listens to them: what `rain.deploy.hosts.link` decides, done.

The token goes to ssh's standard input, which also is ssh's lifeline: however this process dies, that input is at its
end, and so is the relay's on the host (`rain.processes.elsewhere.holding`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rain.common.limits import LOG_BYTES_MAX
from rain.deploy.hosts.link import Link, LinkState
from rain.deploy.hosts.ssh import Ssh, Target, governor_line
from rain.host.starting import clean_environment
from rain.processes.elsewhere.causes import cause_of
from rain.processes.elsewhere.holding import END, LEAVE, WORD
from rain.processes.launching import last_lines, tail_of
from rain.processes.logs import bound_log, open_log

log = logging.getLogger(__name__)

_READ_BYTES = 65536
_LOOK_S = 0.5
_BOUND_S = 10.0
_GONE_S = 2.0
"""How long ssh may take to end by itself, and how long when it was told to, before it is killed."""


@dataclass(slots=True)
class Host:
    """One host, and what runs there.

    Attributes
    ----------
    target : Target
    name : str
        Of the holder there.
    arguments : list of str
        ``governor`` and its arguments.
    log : str
        File for what is printed there.
    link : Link
    python, init : str
    prefix : sequence of str
        See `rain.deploy.hosts.ssh.governor_line`.
    printed : str
        The last lines of a governor that has ended.
    """

    target: Target
    name: str
    arguments: list[str]
    log: str
    link: Link
    python: str = ""
    init: str = ""
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    partial: bytes = b""
    since: int = 0
    printed: str = ""
    end_by: float | None = None
    kill_at: float | None = None

    def line(self) -> str:
        """What ssh runs there."""
        arguments = [] if self.link.leaving else self.arguments
        return governor_line(self.name, arguments, python=self.python, init=self.init, prefix=self.prefix)


class Links:
    """Connections to hosts.

    Parameters
    ----------
    ssh : Ssh
    token : str
        For governors.
    on_change : callable
        Called, in the thread, after the state of a link has changed; the lock is held.
    """

    def __init__(self, ssh: Ssh, token: str, on_change: Callable[[], None] = lambda: None) -> None:
        self._ssh = ssh
        self._token = token
        self._on_change = on_change
        self._hosts: list[Host] = []
        self.change = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._ending = False
        self._bound_at = 0.0
        self._thread = threading.Thread(target=self._run, name="rain-hosts", daemon=True)
        self._thread.start()
        _all.add(self)

    def add(self, host: Host) -> None:
        """Start a governor on a host, or find it there."""
        with self.change:
            self._hosts.append(host)
        self._tell()

    def give_up(self, hosts: Sequence[Host]) -> None:
        """Let the governors of hosts leave."""
        with self.change:
            for host in hosts:
                host.link.give_up(time.monotonic())
                if host.link.state is LinkState.UP:
                    self._write(host, LEAVE)
                elif host.process is not None:
                    self._write(host, END)
            self.change.notify_all()
        self._tell()

    def wait(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Return when `condition` holds, with its value."""
        with self.change:
            return self.change.wait_for(condition, timeout_s)

    def end(self, within_s: float) -> None:
        """End all governors that can be reached, and all of ssh; idempotent."""
        with self.change:
            for host in self._hosts:
                if host.link.state in (LinkState.STARTING, LinkState.UP):
                    host.link.give_up(time.monotonic())
                    self._write(host, END)
                else:  # nothing can be told there, and what may be there ends with the server
                    host.link.abandon()
                    self._stop(host, time.monotonic())
            self.change.wait_for(lambda: all(host.process is None for host in self._hosts), within_s)
            self._ending = True
        self._tell()
        self._thread.join(_GONE_S)

    def _tell(self) -> None:
        with self.change, contextlib.suppress(BlockingIOError):
            if self._waker >= 0:
                os.write(self._waker, b"x")

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending:
            with self.change:
                now = time.monotonic()
                for host in self._hosts:
                    self._guarded(host, partial(self._look, host), now)
                due = [host.link.dial_at for host in self._hosts if host.link.dial_at is not None]
            if now > self._bound_at:
                self._bound_at = now + _BOUND_S
                self._bound_logs()
            timeout_s = max(0.0, min([_LOOK_S * 10 if not self._hosts else _LOOK_S, *(at - now for at in due)]))
            events = self._selector.select(timeout_s)
            with self.change:
                for key, _ in events:
                    if key.data is None:
                        os.read(self._wake, _READ_BYTES)
                    else:
                        key.data(time.monotonic())
                if events:
                    self._on_change()
                    self.change.notify_all()
        with self.change:
            for host in self._hosts:
                self._drop(host)
            self._selector.close()
            waker, self._waker = self._waker, -1
            os.close(waker)
            os.close(self._wake)

    def _guarded(self, host: Host, step: Callable[[float], object], now: float) -> None:
        """What goes wrong with one host, here or with what it prints, is no matter of the others."""
        try:
            step(now)
        except Exception as error:
            log.exception("the connection to %s has failed", host.target)
            self._drop(host)
            host.link.closed(f"{type(error).__name__}: {error}", now)
            self._on_change()
            self.change.notify_all()

    def _stop(self, host: Host, now: float) -> None:
        """Have ssh end, which may be stuck: the second time it is killed."""
        if host.process is None:
            return
        if host.kill_at is None:
            host.kill_at = now + _GONE_S
            host.process.terminate()
        elif now > host.kill_at:
            host.process.kill()

    def _drop(self, host: Host) -> int:
        """End ssh, if it has not ended, and let go of its descriptors; its exit status."""
        process = host.process
        if process is None:
            return 0
        process.kill()
        status = process.wait()
        if host.pidfd >= 0:
            with contextlib.suppress(KeyError):
                self._selector.unregister(host.pidfd)
            os.close(host.pidfd)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(process.stdout)
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        host.process, host.pidfd, host.kill_at = None, -1, None
        return status

    def _look(self, host: Host, now: float) -> None:
        link = host.link
        if host.process is None:
            if link.dial_at is not None and link.dial_at <= now:
                self._dial(host, now)
        elif link.too_late(now):
            self._stop(host, now)
            self._on_change()
            self.change.notify_all()
        elif host.kill_at is not None:
            self._stop(host, now)
        elif link.state is LinkState.ENDED:
            # Its relay ends by itself; a connection that was lost does not.
            host.end_by = host.end_by or now + _GONE_S
            if now > host.end_by:
                self._stop(host, now)

    def _dial(self, host: Host, now: float) -> None:
        host.since, host.partial, host.end_by = _size(host.log), b"", None
        host.link.dialed(now)
        try:
            with open(host.log, "ab", opener=open_log) as written:
                host.process = subprocess.Popen(
                    self._ssh.command(host.target, host.line()),
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=written,
                    env=clean_environment(),
                    start_new_session=True,
                )
            host.pidfd = os.pidfd_open(host.process.pid)
            assert host.process.stdout is not None
            os.set_blocking(host.process.stdout.fileno(), False)
            self._listen(host, host.process.stdout, lambda now: self._read(host, now))
            self._listen(host, host.pidfd, lambda now: self._ended(host, now))
        except OSError as error:  # also one of many descriptors, or of no room for the log
            self._drop(host)
            host.link.closed(f"ssh cannot be started here: {error}", now)
            self._on_change()
            self.change.notify_all()
            return
        self._write(host, self._token.encode())

    def _listen(self, host: Host, source: Any, step: Callable[[float], object]) -> None:
        self._selector.register(source, selectors.EVENT_READ, lambda now: self._guarded(host, step, now))

    def _write(self, host: Host, word: bytes) -> None:
        if host.process is not None and host.process.stdin is not None:
            try:
                host.process.stdin.write(word + b"\n")
            except OSError:  # ssh has ended, which its descriptor tells
                pass

    def _read(self, host: Host, now: float) -> bool:
        """Take in what was printed; whether there was anything."""
        if host.process is None or host.process.stdout is None:
            return False
        try:
            data = os.read(host.process.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            with contextlib.suppress(KeyError):
                self._selector.unregister(host.process.stdout)
            return False
        *lines, host.partial = (host.partial + data).split(b"\n")
        for line in lines:
            self._heard(host, line, now)
        return True

    def _heard(self, host: Host, line: bytes, now: float) -> None:
        event = _event(line)
        if event is None:  # a login script said something
            with contextlib.suppress(OSError), open(host.log, "ab", opener=open_log) as written:  # the disk may be full
                written.write(line + b"\n")
            return
        link = host.link
        if event.get("event") == "ended":
            host.printed = last_lines(str(event.get("printed", "")))
        link.heard(event, now, cause_of(host.printed))
        if event.get("event") == "governor" and link.leaving:
            self._write(host, LEAVE)
        if link.state is LinkState.ENDED:
            host.end_by = now + _GONE_S

    def _ended(self, host: Host, now: float) -> None:
        """ssh has ended. What it wrote before is read; its descriptors may be held open by a master of its own."""
        if host.process is None:
            return
        while self._read(host, now):
            pass
        status = self._drop(host)
        printed = self._printed(host)
        cause = cause_of(printed)
        if not cause and host.link.state is LinkState.DIALING:
            last = printed.strip().rpartition("\n")[2]
            cause = f"ssh ended with status {status}{f', saying: {last}' if last else ''}"
        host.link.closed(cause, now)

    def _printed(self, host: Host) -> str:
        """What was printed over this connection, its end."""
        return tail_of(host.log) if _size(host.log) > host.since else ""

    def _bound_logs(self) -> None:
        for host in list(self._hosts):
            with contextlib.suppress(OSError):
                bound_log(host.log, LOG_BYTES_MAX)


_all: weakref.WeakSet[Links] = weakref.WeakSet()


def _forked() -> None:
    """A forked child must not hold the lifelines of ssh open when its parent has died."""
    for links in _all:
        for host in links._hosts:
            if host.process is not None and host.process.stdin is not None:
                host.process.stdin.close()


os.register_at_fork(after_in_child=_forked)


def _event(line: bytes) -> Mapping[str, Any] | None:
    text = line.decode(errors="replace")
    if not text.startswith(WORD):
        return None
    try:
        event = json.loads(text[len(WORD) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
