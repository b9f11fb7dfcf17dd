"""The guardian: a small process above a server and its governors that leaves nothing behind when it ends.

``rain guardian``, which only Rain itself calls, reads a plan (JSON, one line on standard input)::

    {"processes": [{"name": "server", "command": ["python", "-P", "rain/__main__.py"],
                    "arguments": ["server", "--ready-file", "{ready}", "--lifeline", "{lifeline}", …],
                    "log": "/path/server.log", "restart": true, "keep": [5]}, …],
     "lifeline": 3, "report": 4, "lock": 6, "folder": "/tmp/rain-local-…", "grace_s": 5.0, "trial_s": 60.0,
     "rain": ["python", "-P", "rain/__main__.py"],
     "log": "/path/guardian.log", "log_bytes_max": 16777216, "look_at_logs_s": 10.0,
     "preload": ["module", …], "entry": "module:function"}

The process that is started so forks the guardian, and is its standby (`rain.processes.guarding.standby`).

Theory of operation
-------------------
The guardian is the subreaper of all that its processes start, so whatever they leave behind, also in sessions of its
own, becomes its child, to be killed when a process has died and at the end. It ends when its lifeline (a descriptor)
closes, on SIGTERM, or when nothing is left to guard: it asks its processes to end, kills all descendants after
`grace_s` seconds, and removes `folder`, whose lock (see `rain.processes.scratch`) it inherited. Should it be killed
itself, its standby goes on in its place; should both be, its processes notice by *their* lifelines.

A process says at the descriptor that stands for ``{folders}`` in its arguments which private folders it made
(`rain.processes.keeper`). When it is dead they are removed, unless it is started anew: then the next one gets their
names, and what it has not taken over when it is ready, or after a minute, is removed. `folder` stays when the guardian
gave up, as the logs in it tell why. Logs are bounded (`rain.processes.logs`).

A process with a line for its ``stdin`` gets that, and no end of file while the guardian lives; a ``remote`` one writes
the line ``ready`` to its standard output, through ssh, instead of to ``{ready}``.

A process that was ready once and has ``restart`` is started anew when it dies, after pauses that grow while it does not
stay; one that ``leaves`` is not, if its exit status is 0: then it left on purpose. Listening sockets among its ``keep``
descriptors stay open meanwhile, so its peers wait instead of being refused. When a ``vital`` process has failed a few
times in a row, the guardian ends all processes, which are of no use without it. A process that is to be ``told`` gets
the signal `STAYS_AWAY` before it is ended with all others, so that it can tell its peers that it does not come back.

A process that ends with status 0 may have said, also at ``{folders}``, by which other command `rain` it is to be
started again (`rain.processes.keeper.start_next`): so a server is replaced by another version. If that one is ready
within ``trial_s``, its command `rain` is also used for all other processes that are started from then on; if it ends
before, or is late and is killed, the version before is started again.

What happens is reported as JSON lines at the descriptor `report`: ``{"event": "guarding" | "started" | "ready" |
"ended" | "over", "name": …, "pid": …, "text": …}``; "guarding" tells which process is the guardian from now on. The
listener may read it late or never: lines that have no room are left out.

With `preload` and `entry` the first start of processes that have ``fork`` is a fork instead of an exec: a child, the
*nursery*, imports the modules once, forks each process, which calls ``entry(arguments)``, and exits, whereupon they are
the guardian's children. That saves the start of an interpreter for each, and they share memory.

This module imports as little as possible, because the guardian's process stays as long as the cluster.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any

from rain.host.deaths import Death, OomKills, what_is_known
from rain.host.process_table import descendants, parents
from rain.host.signals import STAYS_AWAY, signal_all, signal_name, unblock_signals
from rain.host.starting import become_subreaper
from rain.processes.guarding.guarded_process import GuardedProcess, become, default_signals, redirect_output
from rain.processes.guarding.standby import Line, end_after, guard
from rain.processes.logs import bound_log, lose_what_cannot_be_written

_TIME = "%Y-%m-%d %H:%M:%S"
_RESTARTS_MAX = 5
"""How many starts in a row of a vital process may fail before the guardian gives up."""
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 60.0
_REMOVE_AGAIN_S = 0.5
_TAKE_OVER_S = 60.0
"""How long the folders of a process that died wait for the process that is started in its place."""
_NO_ROOM_S = 1.0
"""After how long a process is started again that ended with EX_TEMPFAIL, for lack of room on a disk. That is no failure
to start, however long it lasts."""
_SETTLED_S = 3.0
"""A process that was ready for this long did not fail to start. A server comes back with its sessions, so one that is
killed every few seconds is worth being started again; one that dies of what it comes back with does so at once."""


class Guardian:
    """See the module."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._processes = [GuardedProcess(spec) for spec in plan["processes"]]
        self._lifeline: int | None = plan.get("lifeline")
        self._report_to: int | None = plan.get("report")
        self._folder: str | None = plan.get("folder")
        self._logs: list[str] = sorted({plan.get("log") or os.devnull, *(p.log for p in self._processes)})
        self._log_bytes_max: int = plan["log_bytes_max"]
        self._look_at_logs_s: float = plan["look_at_logs_s"]
        self._look_at_logs_at = 0.0
        self._grace_s: float = plan.get("grace_s", 5.0)
        self._trial_s: float = plan.get("trial_s", 60.0)
        self._rain: list[str] = plan.get("rain", [])
        self._preload: list[str] = plan.get("preload", [])
        self._entry: str = plan.get("entry", "")
        inherited = [self._lifeline, self._report_to, plan.get("lock"), *(fd for p in self._processes for fd in p.keep)]
        for descriptor in inherited:
            if descriptor is not None:
                os.set_inheritable(descriptor, False)
        if self._report_to is not None:
            os.set_blocking(self._report_to, False)
        self._below, self._hold = os.pipe()  # the lifeline of our own processes
        self._wake = -1
        self._standby: Line | None = None
        self._stopping = False
        self._why = "nothing is left to guard"
        self._gave_up = False
        self._unstarted = False
        self._oom_kills = OomKills()
        self._count_kills()
        self._strangers: dict[int, int] = {}
        self._nursery: tuple[int, int] | None = None  # pid, pipe
        self._nursery_partial = b""

    def _count_kills(self) -> None:
        self._oom_kills.mark()
        self._counted_since = time.strftime(_TIME)

    # -- life -----------------------------------------------------------------------------------

    def run(self, standby: Line | None = None) -> None:
        """Guard until the end; `standby` is told what it has to know."""
        self._standby = standby
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # a batch system warns all processes of a job; governors heed
            signal.signal(number, lambda *_: None)
        unblock_signals()
        become_subreaper()
        self._report("guarding", pid=os.getpid())
        try:
            self._reap()  # what has died while the standby took over
            if self._preload:
                self._start_nursery()
            while not self._stopping:
                self._start_due()
                self._tell_standby()
                self._end_late()
                pending = self._nursery or any(p.pid or p.start_at is not None for p in self._processes)
                # The process that started the guardian reads in the logs why a process could not start; then it closes
                # the lifeline, or stops the guardian.
                read = self._unstarted and (self._lifeline is not None or self._report_to is not None)
                if not pending and not read:
                    break
                self._wait(self._next_start())
        finally:
            self._end()

    # -- the standby ----------------------------------------------------------------------------

    def _tell_standby(self) -> None:
        if self._standby is not None:
            descriptors: list[int] = []
            told = {
                "processes": [process.handed_on(descriptors) for process in self._processes], "rain": self._rain,
                "unstarted": self._unstarted, "nursery": self._nursery is not None,
            }  # fmt: skip
            self._standby.tell(told, descriptors)

    def take_over(self, told: dict[str, Any], descriptors: list[int]) -> None:
        """Before `run`: be the guardian that was killed, which last told this; its processes are this one's children.

        What it was about to start, or had started without a word, is started anew.
        """
        if not told or told["nursery"]:
            signal_all(descendants(os.getpid()), signal.SIGKILL)
            return
        self._preload = []
        self._rain, self._unstarted = told["rain"], told["unstarted"]
        for process, each in zip(self._processes, told["processes"], strict=True):
            process.take(each, descriptors)
        self._kill_orphans()

    def _stop(self, number: int, *_: Any) -> None:
        self._why = f"it was asked to by signal {number}"
        self._stopping = True

    def _next_start(self) -> float:
        due = [p.start_at for p in self._processes if p.start_at is not None and self._nursery is None]
        due += [p.left_until for p in self._processes if p.left_until is not None]
        due += [p.trial_until for p in self._processes if p.trial_until is not None]
        return max(0.0, min([self._look_at_logs_at, *due]) - time.monotonic())

    def _wait(self, timeout_s: float | None) -> None:
        folders_at = {p.folders.listen: p.folders for p in self._processes}
        watched = [self._wake, *folders_at, *(p.ready for p in self._processes if p.ready is not None)]
        if self._lifeline is not None and not self._stopping:
            watched.append(self._lifeline)
        if self._report_to is not None:
            watched.append(self._report_to)  # "readable" when no process has its other end any more
        if self._nursery is not None:
            watched.append(self._nursery[1])
        if self._standby is not None:
            watched.append(self._standby.fileno())  # "readable" when it is gone
        for descriptor in select.select(watched, [], [], timeout_s)[0]:
            if descriptor == self._wake:
                _drain(descriptor)
            elif descriptor in folders_at:
                folders_at[descriptor].receive()
            elif descriptor == self._lifeline:
                if not os.read(descriptor, 4096):
                    self._why = "the process that it belonged to has ended or let go of it"
                    self._stopping = True
            elif descriptor == self._report_to:
                self._report_to = None
            elif self._standby is not None and descriptor == self._standby.fileno():
                self._standby.close()
                self._standby = None
                _log("its standby has ended: should this process be killed too, all ends")
            elif self._nursery is not None and descriptor == self._nursery[1]:
                self._read_nursery(descriptor)
            else:
                self._read_ready(descriptor)
        self._reap()
        self._remove_left()
        self._bound_logs()

    def _report(self, event: str, process: GuardedProcess | None = None, text: str = "", pid: int = 0) -> None:
        if self._report_to is None:
            return
        line = {"event": event, "name": process.name if process else "", "pid": process.pid if process else pid}
        try:
            os.write(self._report_to, json.dumps(line | {"text": text}).encode() + b"\n")
        except BlockingIOError:  # it is full; a pipe takes such a short line as a whole or not at all
            pass
        except OSError:  # the listener is gone, which is no reason to stop guarding
            self._report_to = None

    # -- starting -------------------------------------------------------------------------------

    def _start_due(self) -> None:
        if self._nursery is not None:
            return
        now = time.monotonic()
        for process in self._processes:
            if process.start_at is not None and process.start_at <= now:
                process.start_at = None
                self._start(process)

    def _start(self, process: GuardedProcess) -> None:
        theirs: list[int] = []  # the ends of pipes that only the process needs
        given: int | None = None
        try:
            process.ready, ready = os.pipe()
            theirs.append(ready)
            if process.stdin is not None:
                given, process.hold = os.pipe()
                theirs.append(given)
                os.write(process.hold, process.stdin.encode() + b"\n")
            pid = os.fork()
        except OSError as error:  # the host has no room for it, perhaps only at this moment
            self._ended(process, 1 << 8, f"{process.name} cannot be started: {error}")
        else:
            if pid == 0:
                become(process, ready, given, self._below)
            self._started(process, pid)
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def _started(self, process: GuardedProcess, pid: int) -> None:
        process.pid = pid
        self._report("started", process)
        if pid in self._strangers:
            self._ended(process, self._strangers.pop(pid))

    def _start_nursery(self) -> None:
        pipes = {}
        for process in self._processes:
            if process.fork:
                process.ready, pipes[process] = os.pipe()
                process.start_at = None
        listen, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            end_after(lambda: self._be_nursery(tell, pipes))
        os.close(tell)
        for ready in pipes.values():
            os.close(ready)
        self._nursery = (pid, listen)

    def _be_nursery(self, tell: int, pipes: dict[GuardedProcess, int]) -> None:
        """Import once, fork each process, tell its pid, and be over: the guardian then inherits them."""
        import gc
        import importlib

        default_signals()
        redirect_output(next(iter(pipes)).log)
        gc.disable()  # nothing that is imported is garbage
        for name in self._preload:
            importlib.import_module(name)
        module, _, function = self._entry.partition(":")
        entry = getattr(importlib.import_module(module), function)
        gc.freeze()  # so that no collection in a child touches, and thereby copies, what is shared
        gc.enable()
        for process, ready in pipes.items():
            pid = os.fork()
            if pid == 0:
                become(process, ready, None, self._below, entry)
            os.write(tell, f"{process.name} {pid}\n".encode())

    def _read_nursery(self, descriptor: int) -> None:
        data = os.read(descriptor, 65536)
        self._nursery_partial += data
        if data:
            return
        os.close(descriptor)
        self._nursery = None
        pids = dict(line.rsplit(" ", 1) for line in self._nursery_partial.decode().splitlines())
        for process in self._processes:
            if process.name in pids:
                self._started(process, int(pids[process.name]))
            elif process.fork:
                self._ended(process, 1 << 8)

    def _read_ready(self, descriptor: int) -> None:
        process = next(p for p in self._processes if p.ready == descriptor)
        data = os.read(descriptor, 4096)
        process.ready_text = (process.ready_text + data)[-8192:]
        if b"ready\n" in process.ready_text:
            process.ready_text = b""
            process.was_ready = True
            process.ready_at = time.monotonic()
            process.folders.receive()
            process.left_until = process.ready_at
            self._report("ready", process)
            if process.before:
                self._adopt(process)
        if not data:
            os.close(descriptor)
            process.ready = None

    # -- ending ---------------------------------------------------------------------------------

    def _reap(self) -> None:
        died = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            process = next((p for p in self._processes if p.pid == pid), None)
            if process is not None:
                self._ended(process, status)
                died = True
            elif self._nursery is not None:
                self._strangers[pid] = status
        if died:
            self._kill_orphans()

    def _ended(self, process: GuardedProcess, status: int, unstarted: str = "") -> None:
        """Take note of the end of a process, or (`unstarted` says why) that its start failed."""
        if process.ready is not None:  # what it said in its last moment
            if select.select([process.ready], [], [], 0)[0]:
                self._read_ready(process.ready)
            if process.ready is not None:
                os.close(process.ready)
                process.ready = None
        if process.hold is not None:
            os.close(process.hold)
            process.hold = None
        self._report("ended", process, unstarted or describe_status(status))
        self._unstarted |= not process.was_ready
        pid, process.pid = process.pid, 0
        process.folders.died()
        process.left_until = time.monotonic()
        process.removing_until = process.left_until + 2 * _TAKE_OVER_S
        wanted = process.folders.take_next()
        if self._stopping or not process.restart or not process.was_ready or (process.leaves and status == 0):
            return
        if process.ready_at and time.monotonic() - process.ready_at > _SETTLED_S:
            process.failures = 0
        process.ready_at = 0.0
        if process.before or (wanted and status == 0):
            self._change(process, wanted, unstarted or describe_status(status))
            return
        waits = os.WIFEXITED(status) and os.WEXITSTATUS(status) == os.EX_TEMPFAIL
        process.failures = 1 if waits else process.failures + 1
        kills = self._oom_kills
        known = what_is_known(Death(status, "", kills.since(), kills.of_machine, self._counted_since))
        self._count_kills()
        how = f"{process.name} (process {pid}) ended ({' '.join(filter(None, (describe_status(status), known)))})"
        how = unstarted or how
        if process.vital and process.failures > _RESTARTS_MAX:
            self._gave_up = True
            self._why = (
                f"the {process.name} failed {process.failures} times in a row, the last time: {how}; its log is "
                f"{process.log}"
            )
            self._stopping = True
            return
        pause = _NO_ROOM_S if waits else min(_PAUSE_MIN_S * 4 ** min(process.failures - 1, 10), _PAUSE_MAX_S)
        _log(f"{how}; starting it again, its log is {process.log}")
        process.start_at = time.monotonic() + pause
        process.left_until = time.monotonic() + _TAKE_OVER_S

    def _change(self, process: GuardedProcess, wanted: list[str], how: str) -> None:
        """Start at once the command that a process asked for in its place; or, if that failed, the one before."""
        if process.before:
            process.command, process.before, process.trial_until = process.before, [], None
            _log(
                f"what was to come in the place of the {process.name} ended ({how}) before it was ready; the one "
                f"before is started again, its log is {process.log}"
            )
        else:
            _log(f"the {process.name} makes room for {' '.join(wanted)}")
            process.before = process.command
            process.command = self._in_place(process.command, wanted)
            process.trial_until = time.monotonic() + self._trial_s
        process.start_at = time.monotonic()
        process.left_until = time.monotonic() + _TAKE_OVER_S

    def _adopt(self, process: GuardedProcess) -> None:
        """A process that was started in the place of another is ready: its command is used from now on."""
        process.before, process.trial_until = [], None
        rain = process.command[len(process.command) - len(self._rain) :]
        for other in self._processes:
            other.command = self._in_place(other.command, rain)
        self._rain = rain
        _log(f"the {process.name} is {' '.join(process.command)} from now on, and so is all else that is started")

    def _in_place(self, command: list[str], rain: list[str]) -> list[str]:
        """A command in which `rain` replaces the command `rain` of this cluster, if it ends with that."""
        size = len(self._rain)
        return command[:-size] + rain if size and command[-size:] == self._rain else command

    def _end_late(self) -> None:
        """Kill a process that was started in the place of another and is not ready in time."""
        for process in self._processes:
            if process.trial_until is not None and process.trial_until <= time.monotonic() and process.pid:
                _log(f"what was to come in the place of the {process.name} is not ready after {self._trial_s:g} s")
                process.trial_until = None
                signal_all([process.pid], signal.SIGKILL)

    def _bound_logs(self) -> None:
        now = time.monotonic()
        if now < self._look_at_logs_at:
            return
        self._look_at_logs_at = now + self._look_at_logs_s
        for path in self._logs:
            try:
                bound_log(path, self._log_bytes_max)
            except OSError:  # not there yet, or the disk is full; the next time it may be
                continue

    def _remove_left(self) -> None:
        """Remove folders of dead processes that no process took over; those that are in use are tried again later."""
        now = time.monotonic()
        for process in self._processes:
            if process.left_until is not None and process.left_until <= now:
                done = process.folders.remove() or now > process.removing_until
                process.left_until = None if done else now + _REMOVE_AGAIN_S

    def _kill_orphans(self) -> None:
        """Kill the processes that a dead process left behind: by now children of the guardian, and theirs."""
        known = {process.pid for process in self._processes}
        if self._nursery is not None:
            return
        for pid, parent in parents().items():
            if parent == os.getpid() and pid not in known:
                signal_all([*descendants(pid), pid], signal.SIGKILL)

    def _end(self) -> None:
        _log(f"{'gave up' if self._gave_up else 'ended'}: {self._why}")
        self._stopping = True
        deadline = time.monotonic() + self._grace_s
        if self._nursery is not None:
            signal_all([self._nursery[0]], signal.SIGKILL)
        while self._nursery is not None:
            self._wait(1.0)
        for process in self._processes:
            if process.hold is not None:
                os.close(process.hold)
                process.hold = None
        signal_all([p.pid for p in self._processes if p.pid and p.told], STAYS_AWAY)
        # Processes on other hosts have been told by the end of their standard input. The commands that carry it there
        # (srun, qrsh) must not be ended before: they kill at once what they have started.
        told = [p.pid for p in self._processes if p.remote and p.was_ready]
        signal_all([p.pid for p in self._processes if p.pid and p.pid not in told], signal.SIGTERM)
        while any(p.pid for p in self._processes) and time.monotonic() < deadline:
            self._wait(max(0.0, deadline - time.monotonic()))
        while True:
            left = descendants(os.getpid())
            signal_all(left, signal.SIGKILL)
            try:
                os.waitpid(-1, 0 if left else os.WNOHANG)
            except ChildProcessError:
                if not left:
                    break
        for process in self._processes:
            process.folders.died()
            process.folders.remove(self._folder or "")
        # After giving up its owner reads the logs, and removes them.
        if self._folder is not None and not self._gave_up:
            from rain.objects.dirtree import remove_tree

            try:
                remove_tree(self._folder)
            except OSError as error:
                _log(f"cannot remove {self._folder}: {error}")
        self._report("over")


def describe_status(status: int) -> str:
    """The status of `os.waitpid` in words."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal_name(os.WTERMSIG(status))}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime(_TIME)} guardian: {text}\n")
    sys.stderr.flush()


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise


def main() -> None:
    """Read the plan and carry it out."""
    lose_what_cannot_be_written()
    plan = json.loads(sys.stdin.readline())
    if plan.get("log"):
        redirect_output(plan["log"])
    guard(Guardian(plan))
