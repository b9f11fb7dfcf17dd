"""The fate of a server and its guardian, for clients and commands that find them gone: what died, where the logs are,
and what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from rain.common.errors import RainException
from rain.host.process_table import is_alive, start_time
from rain.processes import connection_files

GUARDIAN_LOG = "guardian.log"
GUARDIAN = "its guardian"
RECENT_S = 120.0
"""Lines that a guardian logged longer ago do not explain why a connection breaks now."""
_TAIL_BYTES = 16384
_ENDS_WITHIN_S = 1.0
_TIME = "%Y-%m-%d %H:%M:%S"


def last_words(log_dir: str, about: str = "", recent_s: float = float("inf")) -> str:
    """The last line that the guardian wrote to its log (about one process, if `about` is given); empty if none.

    Parameters
    ----------
    log_dir : str
    about : str
        How the line begins.
    recent_s : float
        How many seconds ago it may have been written.
    """
    try:
        with open(os.path.join(log_dir, GUARDIAN_LOG), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line.partition(" guardian: ") for line in lines]
    found = [(when, text) for when, mark, text in said if mark and text.startswith(about)]
    if not found:
        return ""
    when, text = found[-1]
    try:
        age_s = time.time() - time.mktime(time.strptime(when, _TIME))
    except ValueError:
        age_s = 0.0
    return f"{text} ({when})" if age_s <= recent_s else ""


def with_cause(reason: str, look: Callable[[], str]) -> str:
    """`reason` for the end of a conversation with a server, together with what `look` finds out here."""
    words = look()
    if GUARDIAN not in reason:
        return f"{reason}. {words}" if words else reason
    # The server noticed the end of its guardian a moment before that had ended.
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while GUARDIAN not in words and time.monotonic() < deadline:
        time.sleep(0.01)
        words = look()
    return words if GUARDIAN in words else reason


def of_guardian(pid: int, log_dir: str) -> str:
    """The last words of a guardian that has ended, and where the logs are."""
    words = last_words(log_dir)
    if not words.startswith(("ended", "gave up")):
        words = "it ended without a word, so it was killed" + (f"; before, it wrote: {words}" if words else "")
    return (
        f"{GUARDIAN} (process {pid}), which watches over the server and governors, has ended, and they with it: "
        f"{words}. Logs: {log_dir}"
    )


def of_living_guardian(log_dir: str) -> str:
    """What a living guardian logged of the server a moment ago; empty if nothing."""
    words = last_words(log_dir, "server", RECENT_S)
    return f"The guardian wrote: {words}. Logs: {log_dir}" if words else ""


def of_server(address: str) -> str:
    """What became of the server at `address`, as far as its connection file tells; empty if it runs, or if nothing is
    known of it.

    Parameters
    ----------
    address : str
        ``host:port``, as it was connected to.
    """
    alone = of_one_alone(address)
    if alone:
        return alone
    try:
        _, file = connection_files.find_with_path(address)
    except RainException:
        return ""
    return of_living_guardian(file.logdir) if file.guardian else ""


def of_one_alone(address: str) -> str:
    """What became of the server at `address`, if nothing will start it again but its user; else empty.

    Parameters
    ----------
    address : str
        ``host:port``, as it was connected to.
    """
    try:
        _, file = connection_files.find_with_path(address)
    except RainException:
        return ""
    if not file.guardian:
        if not file.pid or is_alive(file.pid):
            return ""
        logs = f" Logs: {file.logdir}." if file.logdir else ""
        return (
            f"The server (process {file.pid}), which `rain server` had started, has ended without a goodbye, so it was "
            f"killed.{logs} Start it again with `rain server`, or with `rain start`, which starts it again by itself."
        )
    if is_alive(file.guardian) and start_time(file.guardian) == file.guardian_start:
        return ""
    port = file.address.rpartition(":")[2]
    gone = of_guardian(file.guardian, file.logdir)
    return (
        f"The server was started by `rain start`; {gone}. Start it again with `rain start --listen {port}` and the "
        "options that it had."
    )
