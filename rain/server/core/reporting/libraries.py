"""Versions of the libraries that governors have: kept as long as the governor is there, and told to all clients."""

from __future__ import annotations

from itertools import islice

from rain.common.limits import LIBRARIES_MAX, VERSION_CHARS_MAX
from rain.common.protocol.messages import GovernorLibraries, Libraries, LibrariesThere
from rain.server.core.state import State
from rain.server.records.governor import Governor


def libraries(state: State, governor: Governor, message: Libraries) -> None:
    """A governor tells of its libraries."""
    some = islice(message.versions.items(), LIBRARIES_MAX)
    governor.versions = {name[:VERSION_CHARS_MAX]: version[:VERSION_CHARS_MAX] for name, version in some}
    for client_id in state.graph.clients:
        state.to_client(client_id, LibrariesThere([_told(governor)]))


def tell_all(state: State, client_id: str) -> None:
    """Tell a new client what is known."""
    told = [_told(governor) for governor in state.graph.governors.values() if governor.versions]
    if told:
        state.to_client(client_id, LibrariesThere(told))


def _told(governor: Governor) -> GovernorLibraries:
    return GovernorLibraries(governor.id, governor.host_id, governor.versions)
