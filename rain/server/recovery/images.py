"""The whole state of a server as one object, for an image in its journal: its core, its machine, its conversations.

An image is made in a forked child, in which the state does not change while the server goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from rain.common.protocol.messages import Hello
from rain.server.core import events as ev
from rain.server.core.state import State
from rain.server.journal.images.dumping import pieces
from rain.server.journal.images.loading import load
from rain.server.journal.images.types import Codec
from rain.server.journal.state_classes import codec
from rain.server.recovery.records import FollowUp
from rain.server.scheduling.locality import LocalityPolicy


class Kept:
    """A conversation in an image.

    Attributes
    ----------
    number, pool, address, hello
        See `rain.server.recovery.records.Opened`.
    channel : tuple
        The state of its channel: `rain.common.protocol.channel.Channel.memory`.
    """

    __slots__ = ("address", "channel", "hello", "number", "pool")

    def __init__(self, number: int, pool: int, address: str, hello: Hello, channel: tuple[Any, ...]) -> None:
        self.number = number
        self.pool = pool
        self.address = address
        self.hello = hello
        self.channel = channel


class Image:
    """The state of a server.

    Attributes
    ----------
    state : State
        The state of its core, without that of a scheduling policy that is not Rain's own.
    machine : dict
        `rain.server.recovery.machine.Machine.memory`.
    conversations : list of Kept
    salts : dict of int to bytes
        By pool, the salt of its key.
    events : int
        Number of the next event of the event log.
    wall : float
        Seconds since the epoch when `now` was 0.
    address : str
        Address of its listener.
    folders : list of str
        Folders of large constants.
    followed : list of (event, int)
        The `Followed` that are due.
    parted : dict of int to str
        Conversations that are to end because a message in them cannot be sent, and why.
    """

    __slots__ = (
        "address",
        "conversations",
        "events",
        "folders",
        "followed",
        "machine",
        "parted",
        "salts",
        "state",
        "wall",
    )

    def __init__(
        self,
        state: State,
        machine: dict[str, Any],
        conversations: list[Kept],
        salts: dict[int, bytes],
        events: int,
        wall: float,
        address: str,
        folders: list[str],
        followed: list[tuple[FollowUp, int]],
        parted: dict[int, str],
    ) -> None:
        self.state = state
        self.machine = machine
        self.conversations = conversations
        self.salts = salts
        self.events = events
        self.wall = wall
        self.address = address
        self.folders = folders
        self.followed = followed
        self.parted = parted


_FOLLOW_UPS = (
    ev.AssignmentFailed, ev.SessionBroken, ev.ClientGone, ev.GovernorGone, ev.ClientPace, ev.Tick, ev.TurnEnded,
)  # fmt: skip


@cache
def _codec() -> Codec:
    return codec(Image, Kept, Hello, *_FOLLOW_UPS)


def image_pieces(image: Image) -> Iterator[bytes]:
    """The bytes of an image; its state cannot be used afterwards.

    Raises
    ------
    ImageError
    """
    state: Any = image.state
    if type(state.policy) is not LocalityPolicy:
        state.policy = None
    return pieces(_codec(), image)


def load_image(data: bytes) -> Image:
    """The image in bytes that `image_pieces` made.

    Raises
    ------
    ImageError
        If this version cannot read it.
    """
    image = load(_codec(), data)
    assert isinstance(image, Image)
    return image
