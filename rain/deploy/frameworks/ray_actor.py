"""What Rain runs in a Ray actor: it holds a governor and watches it, since Ray does not notice that a child died."""

from __future__ import annotations

from collections.abc import Sequence

from rain.deploy.frameworks.held import HeldGovernor, HeldState, first_gpus


class Holder:
    """Holds the governor of one place. Rain has to be installed in the Python of Ray's nodes.

    The governor blocks none of the signals that Ray blocks in its workers, and ends when its standard input does, that
    is with this actor, though Ray itself would not end it.
    """

    def __init__(self) -> None:
        self._held = HeldGovernor()

    def public(self) -> bytes:
        """The key for which its token is to be sealed."""
        return self._held.public

    def begin(self, token: bytes, server: str, gpus: int, options: Sequence[str]) -> None:
        """Start the governor; see `HeldGovernor.begin`."""
        self._held.begin(token, server, ["--gpus", first_gpus(gpus), *options])

    def state(self) -> HeldState:
        """What is known of it."""
        return self._held.state()

    def leave(self) -> None:
        """Tell it to leave."""
        self._held.leave()
