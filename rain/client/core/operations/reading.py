"""Reading an object on another host: which replicas are tried, when the server is asked again, when to give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.client.core.operations.locating import find_again
from rain.client.core.records import ObjectRecord
from rain.client.core.session_mirror import SessionMirror
from rain.client.core.waiting import Operation, Pause, Waiting
from rain.common.errors import RainException
from rain.common.limits import FETCH_ATTEMPTS_MAX, FETCH_DELAY_S
from rain.common.location import Inline, Replica, replicas_of
from rain.common.protocol.messages import ObjectData

if TYPE_CHECKING:
    from rain.client.core.core import ClientCore


class TryReplicas(Waiting):
    """Replicas to be tried in turn; over with what the first readable one gave, or with `Unreadable`.

    Attributes
    ----------
    data : ObjectData
        What the server said of the object last.
    replicas : list of Replica
    """

    __slots__ = ("data", "replicas")

    def __init__(self, data: ObjectData, replicas: list[Replica]) -> None:
        super().__init__()
        self.data = data
        self.replicas = replicas


class Unreadable(Exception):
    """None of some replicas could be read; `reasons` says why, by address."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


def read(
    core: ClientCore,
    mirror: SessionMirror,
    record: ObjectRecord,
    data: ObjectData,
    server: Replica,
    refused: bool = False,
) -> Operation[Any]:
    """Try the replicas that are known, then ask the server where the object is now, then have the server pass it on.

    If the object turns out to be lost and is made again, this waits for it; the server may learn of a loss later than
    the client. Gives what a replica gave, or the object's bytes if the server sent them.

    Parameters
    ----------
    data : ObjectData
        What is known of the object.
    server : Replica
        The server's data listener, which passes on what governors hold.
    refused : bool
        Whether a refused value is read that the object's task returned.

    Raises
    ------
    RainException
        If it cannot be had.
    TaskFailed
        If it cannot be made again.
    """
    reasons: dict[str, str] = {}
    tried: list[Replica] = []
    for attempt in range(FETCH_ATTEMPTS_MAX):
        if attempt:
            if attempt > 1:
                yield Pause(FETCH_DELAY_S * 2 ** (attempt - 2))
                tried.clear()
            data = yield from find_again(core, mirror, record, refused)
            if isinstance(data.location, Inline):
                return data.location.data
        replicas = [replica for replica in replicas_of(data.location) if replica not in tried]
        tried += replicas
        if attempt:
            replicas.append(server)
        try:
            return (yield TryReplicas(data, replicas))
        except Unreadable as error:
            reasons |= error.reasons
    if server.address in reasons:
        reasons["the server"] = reasons.pop(server.address)
    label = f" {record.spec.label!r}" if record.spec.label else ""
    told = "; ".join(f"{address}: {text}" for address, text in reasons.items()) or "there is no replica"
    raise RainException(f"the data of object {record.spec.id}{label} cannot be had ({told})")
