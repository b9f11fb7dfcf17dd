"""Checks of a batch system: its commands, the pool's folder, and what a job of it has and whether it reaches here."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rain.common.errors import RainException
from rain.common.limits import DOCTOR_JOB_S, ENGINE_LOOK_S
from rain.common.protocol.address import format_address
from rain.deploy.checkup.finding import Finding, Level, failure
from rain.deploy.engines.jobs import JobSupplier
from rain.deploy.pools.choice import BATCH_SYSTEMS, supply_of
from rain.deploy.pools.folder import pools_folder
from rain.deploy.pools.supplier import Job, JobState
from rain.deploy.pools.words import parse_places
from rain.net.auth import Credentials
from rain.net.own_address import own_address
from rain.processes.elsewhere.causes import cause_of
from rain.processes.private_folders import check_private, made_dir


def look(engine: str, words: Sequence[str]) -> Iterator[Finding]:
    """Check all that a pool on a batch system needs; runs a short job there.

    Parameters
    ----------
    engine : str
    words : sequence of str
        Options of the pool's places, as `parse_places` takes them.

    Raises
    ------
    RainException
        If there is no such batch system, or an option has no meaning.
    """
    if engine not in BATCH_SYSTEMS:
        raise RainException(f"{engine!r} is no batch system; rain doctor can check {', '.join(BATCH_SYSTEMS)}")
    asked = parse_places(engine, words, {})
    supply = supply_of(engine, **asked.options)
    commands = list(_commands(engine))
    yield from commands
    try:
        host = own_address()
    except RainException as error:
        yield failure("this host", str(error), "")
        return
    yield Finding("this host", f"{host}: a server of Client.on listens there, encrypted")
    folder = _folder(asked.options.get("folder"))
    yield folder
    if all(found.level is Level.OK for found in (folder, *commands)):
        with _Listener(host) as listener:
            supplier = supply(listener.address, Credentials.generate().token("governor"))
            assert isinstance(supplier, JobSupplier)
            try:
                yield from _job(supplier, listener)
            finally:
                supplier.close()
                supplier.tidy(keep=False)


def _commands(engine: str) -> Iterator[Finding]:
    system = BATCH_SYSTEMS[engine]
    named = dict.fromkeys(
        words[0] for words in (system.show(["1"]), system.cancel(["1"]), system.cancel_named("x")) if words
    )
    for name in named:
        path = shutil.which(name)
        told = f"is not on this host: {engine} is used where its commands are, on a login node for instance"
        yield Finding(f"command {name}", path) if path else failure(f"command {name}", told, "")


def _folder(chosen: object) -> Finding:
    path = Path(str(chosen)) if chosen else pools_folder()
    try:
        made_dir(path)
        check_private(str(path), "folder of pools", 0o700)
    except RainException as error:
        return failure("folder", str(error), "")
    return Finding("folder", f"{path}, for you alone; hosts must see it, too")


def _job(supplier: JobSupplier, listener: _Listener) -> Iterator[Finding]:
    supplier.probe = f"doctor --reach {listener.address}"
    try:
        job = supplier.ask(1)
    except RainException as error:
        yield failure("a job", str(error), "")
        return
    told, deadline, seen = "", time.monotonic() + DOCTOR_JOB_S, None
    missed = False
    try:
        while True:
            found = supplier.show([job]).get(job)
            if found is None and (seen is not None or missed):  # it has ended, and is forgotten
                found = Job(JobState.ENDED, "ended")
            seen, missed = found, found is None
            if seen is not None and _words(seen) != told:
                told = _words(seen)
                yield Finding(f"job {job}", told)
            printed = supplier.printed(1)
            if seen is not None and seen.state is JobState.ENDED:
                break
            if time.monotonic() > deadline:
                yield failure(f"job {job}", f"has not ended within {DOCTOR_JOB_S:g} s, and is given up", "")
                break
            time.sleep(ENGINE_LOOK_S / 4)
    finally:
        if seen is None or seen.state is not JobState.ENDED:
            supplier.give_up([job])
    cause = cause_of(printed)
    for line in printed.splitlines():
        yield Finding("  there", line)
    if not printed:
        yield failure("  there", "nothing was printed: do its hosts see the folder?", "")
    elif "a governor here has" not in printed:
        yield failure("  there", cause or "Rain did not run there", "")
    elif not listener.reached.is_set():
        why = f"{listener.address} was not reached from there: a firewall, or another interface is needed (host=…)"
        yield failure("the way back", why, "")
    else:
        yield Finding("the way back", f"{listener.address} was reached from there")


def _words(job: Job) -> str:
    reason = f" ({job.reason})" if job.reason else ""
    return f"{job.word.lower()}{reason}"


class _Listener:
    """A port of this host, and whether a connection has reached it."""

    def __init__(self, host: str) -> None:
        self._socket = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.address = format_address(host, self._socket.getsockname()[1])
        self.reached = threading.Event()
        threading.Thread(target=self._accept, name="rain-doctor", daemon=True).start()

    def _accept(self) -> None:
        try:
            self._socket.accept()[0].close()
        except OSError:
            return  # it is closed
        self.reached.set()

    def __enter__(self) -> _Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
