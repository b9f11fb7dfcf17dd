"""The client that an interface uses when its user names none, and the dispatchers of interfaces at clients."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from rain.client.active_session import get_active_session
from rain.client.client import Client
from rain.client.places import open_clients
from rain.client.report.echo import begin_unasked
from rain.common.errors import RainException
from rain.interfaces.dispatcher import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Mapping

_lock = threading.Lock()
_dispatchers: weakref.WeakKeyDictionary[Client, dict[str, Dispatcher]] = weakref.WeakKeyDictionary()
_own: Client | None = None


def client_in_use(given: Client | None = None) -> Client:
    """The client that is `given`, else that of the active session, else the one that connected last, else a local one
    that is made for this process.

    Raises
    ------
    RainException
        If `given` is no client, in a task, or if no local client can be made.
    """
    global _own
    if given is not None:
        if not isinstance(given, Client):
            raise RainException(f"client= is a Client, not {type(given).__name__} ({given!r})")
        return given
    if in_task():
        raise RainException("a task cannot submit tasks: inside a task there is no client")
    try:
        client = get_active_session().client
    except RainException:
        client = None
    if client is None:
        with _lock:
            client = open_clients.newest()
            if client is None:
                client = _own = Client.local()
    return client


def dispatcher(client: Client, name: str, options: Mapping[str, Any]) -> Dispatcher:
    """The dispatcher of an interface at a client, for tasks with these options; its session stays with the client."""
    key = f"{name} {sorted(options.items())!r}"
    with _lock:
        known = _dispatchers.setdefault(client, {})
        found = known.get(key)
        if found is None or found.has_ended:
            session = client.new_session(name)
            begin_unasked(session, by_interface=True)
            found = known[key] = Dispatcher(session, dict(options), owns_session=True)
        return found


def cpus_of(client: Client) -> float:
    """How many cpus the governors of a client's server have."""
    return float(sum(governor["cpus"] for governor in client._brief_info()["governors"]))


def in_task() -> bool:
    """Whether this process is an executor that runs a task."""
    return bool(getattr(sys.modules.get("rain.executor.loop"), "serving", False))  # not imported: clients have none
