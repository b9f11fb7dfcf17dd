"""`rain restart`: another version of Rain takes the place of the server of a `rain start` cluster, and goes on.

The new version is the one that this code belongs to. First the server writes an image of itself while it goes on, and
this process reads it as the new server would: if the new version cannot go on with it, the error says why before
anything stops. Then the server writes its last image and ends, and its guardian starts the new one; if that is not
ready in time, the guardian starts the old one again, from the same image (`rain.server.recovery.handing_over`,
`rain.processes.guardian`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rain import __version__
from rain.common.errors import RainException
from rain.common.limits import PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, RESTART_S
from rain.common.protocol.encoding import encode_json
from rain.common.protocol.messages import Hello
from rain.deploy.stop import Known
from rain.host.process_table import is_alive, start_time
from rain.net.conversation import PYTHON
from rain.net.https import NotAnswered, post
from rain.processes import connection_files
from rain.processes.fate import last_words
from rain.processes.launching import RAIN, tail_of
from rain.server.check import check_state
from rain.server.journal.files import RESTART, Folder
from rain.server.journal.format import JournalError
from rain.server.journal.images.types import ImageError
from rain.server.journal.reader import Contents
from rain.server.policy_loading import choose_policy
from rain.server.recovery.handing_over import Wish
from rain.server.recovery.images import Image, load_image

_STEP_S = 300.0
"""How many seconds the server may take to write an image."""
_LOOK_S = 0.05
_NAMED_MAX = 8
_READ_TRIES = 3


class Trial(NamedTuple):
    """What the new version found in the server's image, all of which goes on."""

    version: str
    sessions: int
    tasks: int
    clients: int
    governors: int


class Restarted(NamedTuple):
    """A server that was restarted.

    Attributes
    ----------
    address : str
    pid : int
        The new server's process.
    took_s : float
        Seconds until it was ready.
    """

    address: str
    pid: int
    took_s: float


def restart(
    server: Known, on_trial: Callable[[Trial], None] | None = None, only_check: bool = False
) -> Restarted | None:
    """Replace a server by one of this version of Rain, which goes on with all sessions, clients and governors.

    Parameters
    ----------
    server : Known
        A server, as `rain.deploy.stop.find` returns it.
    on_trial : callable, optional
        Called with the `Trial`, before anything stops.
    only_check : bool
        Stop nothing, and return None after the trial.

    Raises
    ------
    RainException
        If this version cannot go on with the server's sessions, before anything stops; or if the new server did not
        become ready, and the old one serves again.
    """
    path, file = server
    _may_restart(file)
    with _wish(file.journal):
        trial = _try(file)
        if on_trial is not None:
            on_trial(trial)
        if only_check:
            return None
        began, before = time.monotonic(), connection_files.read(path).pid
        with contextlib.suppress(NotAnswered):  # it may have been killed meanwhile: what comes then is looked at
            _step(file, "go")
    return _came(path, file, before, began)


def _may_restart(file: connection_files.ConnectionFile) -> None:
    """Raise RainException unless a guardian would start the new server."""
    if not file.guardian:
        raise RainException(
            f"the server at {file.address} was not started by `rain start`, so nothing would start it again; a private "
            "cluster (Client.local) stays with the version of Rain that its client runs"
        )
    if not is_alive(file.guardian) or start_time(file.guardian) != file.guardian_start:
        kept = f"--journal {file.journal} " if file.journal else ""
        raise RainException(
            f"the guardian of the server at {file.address} (process {file.guardian}) is gone, so nothing would start "
            f"the server again: `rain start --listen {file.address} {kept}…` brings it back with what its journal "
            "holds, in this version of Rain"
        )
    if not file.journal:
        raise RainException(
            f"the server at {file.address} keeps no journal (--journal none), so its sessions would be lost: "
            "`rain stop` ends them"
        )


@contextlib.contextmanager
def _wish(journal: str) -> Iterator[None]:
    """While the block runs, a file in the journal's folder tells the server which version is to replace it."""
    path = Path(journal, RESTART)
    try:
        connection_files.write_private(path, encode_json(Wish(list(RAIN), __version__)))
    except OSError as error:
        raise RainException(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _step(file: connection_files.ConnectionFile, name: str) -> dict[str, Any]:
    """Have the server take a step of a restart; returns its answer."""
    status, body = post(file.http, f"restart/{name}", file.credentials, _STEP_S)
    if status == 404:
        raise RainException(
            f"the server at {file.address} is Rain {file.version}, which cannot be replaced while it runs: `rain stop` "
            "and `rain start` are left"
        )
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        answer = {"error": body.decode("utf-8", "replace")[:1000]}
    if status != 200:
        raise RainException(f"the server at {file.address} was not restarted: {answer.get('error', status)}")
    return answer


# -- the trial ------------------------------------------------------------------------------------


def _try(file: connection_files.ConnectionFile) -> Trial:
    """Read an image of the server as the new one would; raise RainException if that could not go on."""
    number = _step(file, "look")["image"]
    try:
        image = _image(file.journal, number)
        check_state(image.state)
    except (JournalError, ImageError, AssertionError) as error:
        raise RainException(
            f"Rain {__version__} cannot go on with the server at {file.address}, which is Rain {file.version}: "
            f"{error or type(error).__name__}. Nothing was stopped"
        ) from None
    choose_policy(image.state.policy_name)
    _check_peers(file, [kept.hello for kept in image.conversations], image)
    sessions = [session for session in image.state.graph.sessions.values() if not session.over]
    roles = Counter(kept.hello.role for kept in image.conversations)
    return Trial(
        __version__, len(sessions), sum(len(session.tasks) for session in sessions), roles["client"], roles["governor"]
    )


def _image(journal: str, number: int) -> Image:
    for last in (False, False, True):
        try:
            with contextlib.closing(Folder(journal, locked=False)) as folder:
                contents = Contents(folder)
                data = contents.image()
                assert data is not None, f"the image {number} is not there"
                return load_image(data)
        except JournalError:
            if last:  # else the server may just have removed what a newer image took the place of
                raise
    raise AssertionError


def _check_peers(file: connection_files.ConnectionFile, peers: list[Hello], image: Image) -> None:
    """Raise RainException with the peers that the new version could not speak with."""
    names = image.machine["names"]
    numbers = {id(kept.hello): kept.number for kept in image.conversations}

    def named(hello: Hello) -> str:
        name = names.get(numbers[id(hello)]) or f"a {hello.role}"
        return f"{name} (protocol {hello.protocol}, Python {hello.python or '?'})"

    old = [hello for hello in peers if not PROTOCOL_VERSION_MIN <= hello.protocol <= PROTOCOL_VERSION]
    other = [hello for hello in peers if hello not in old and hello.python != PYTHON]
    for found, why in (
        (old, f"speaks the protocol from version {PROTOCOL_VERSION_MIN} to {PROTOCOL_VERSION} only"),
        (other, f"runs with Python {PYTHON}, and functions and values can only be exchanged between equal versions"),
    ):
        if found:
            more = f", and {len(found) - _NAMED_MAX} more" if len(found) > _NAMED_MAX else ""
            raise RainException(
                f"Rain {__version__} {why}. Nothing was stopped. These have to go before it takes the place of the "
                f"server at {file.address} (governors by `rain drain`): "
                f"{', '.join(map(named, found[:_NAMED_MAX]))}{more}"
            )


# -- the change -----------------------------------------------------------------------------------


def _came(path: Path, file: connection_files.ConnectionFile, before: int, began: float) -> Restarted:
    """Wait until a server is ready; raise RainException if it is the old one."""
    deadline = time.monotonic() + 2 * RESTART_S
    while time.monotonic() < deadline:
        with contextlib.suppress(RainException):
            now = connection_files.read(path)
            if now.pid != before and is_alive(now.pid):
                if not _is_this(now.pid):
                    break
                return Restarted(file.address, now.pid, time.monotonic() - began)
        if not is_alive(file.guardian):
            break
        time.sleep(_LOOK_S)
    log = os.path.join(file.logdir, "server.log")
    words = last_words(file.logdir, recent_s=_STEP_S)
    raise RainException(
        f"the server at {file.address} is not the version that was to come ({words}). "
        f"Its log, {log}, ends with:\n{tail_of(log)}"
    )


def _is_this(pid: int) -> bool:
    """Whether a process runs the same code as this process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return all(word.encode() in words for word in RAIN)
