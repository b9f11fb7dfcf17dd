"""Images of the whole server in the simulator, and the records on its disk that are removed when there is one.

As in life (`rain.server.recovery.snapshots`, `rain.server.journal`): a forked child has the state that the server had
when all records were written and the turn was over, and writes it while the server goes on. The image comes late, or
never; the server may die before, or between its coming and the removal of the records before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.process import Process

if TYPE_CHECKING:
    from tests.sim.server import SimServer

FAILS = 0.2
"""Share of children that end without an image."""


class Snapshots:
    """The images of one server.

    Attributes
    ----------
    begin : int
        The newest image that is there is of the state before this record; 0: there is none.
    image : bytes
    """

    def __init__(self, server: SimServer) -> None:
        self.server = server
        self.begin = 0
        self.image = b""
        self._writing: tuple[int, bytes] | None = None
        self._wanted = 0

    def plan(self) -> None:
        """When images are due."""
        for _ in range(self.server.random.choice([0, 1, 2])):
            self.server.world.clock.after(4 * self.server.random.random(), self._want)

    def _want(self) -> None:
        self._wanted += 1

    def turn_ended(self) -> None:
        """Fork a child if an image is due: all that happened is written, and its turn is over."""
        server = self.server
        if not self._wanted or self._writing is not None or not server.alive:
            return
        assert server.committed == len(server.journal), "a turn has ended, and is not written"
        if any(side.channel._early for side in server.process.sides.values()):
            return  # packets that come before their turn are kept in no image: of TCP there are none
        self._wanted -= 1
        writing = self._writing = (len(server.journal), server.process.whole())
        server.world.clock.after(server.random.choice([0.001, 0.1, 2.0]), self._child_ended, writing)

    def _child_ended(self, writing: tuple[int, bytes]) -> None:
        if writing is not self._writing:
            return  # it died with its server
        self._writing = None
        if self.server.random.random() < FAILS:
            return
        self.begin, self.image = writing
        self._remove_records(self.begin)

    def _remove_records(self, end: int) -> None:
        """Those before the newest image count no more."""
        self.server.journal[:end] = [None] * end

    def died(self) -> None:
        """The server has died, and the child with it: at times when the image just had its name."""
        writing, self._writing = self._writing, None
        if writing is not None and self.server.random.random() < 0.3:
            self.begin, self.image = writing

    def start(self) -> Process:
        """A process that goes on from the newest image."""
        process = Process(self.server)
        if self.image:
            process.be(self.image)
        return process

    def records(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        """Some of those that are on the disk.

        Raises
        ------
        AssertionError
            If they were removed.
        """
        found = [record for record in self.server.journal[begin:end] if record is not None]
        assert len(found) == max(end - begin, 0), f"records {begin} to {end} are needed, and were removed"
        return found
