"""A small journal of several files, and what must hold when it is harmed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from random import Random

from rain.server.journal.files import Folder
from rain.server.journal.format import JournalDamaged, JournalUnreadable
from rain.server.journal.journal import Journal
from rain.server.journal.reader import Contents

IMAGE = b"the state before"
LAST = "00000004.journal"


class Sample:
    """A journal in a folder: an image, two segments that ended, the last one; and what is in it.

    Attributes
    ----------
    records : list of (int, bytes)
    begun : dict of str to int
        How many records come before each file's first one.
    commits : list of (int, int)
        Of the last segment: where each commit ends in the file, and how many records there are up to its end.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        random = Random(seed)
        self.folder = folder
        self.records: list[tuple[int, bytes]] = []
        self.begun: dict[str, int] = {}
        self.commits: list[tuple[int, int]] = []
        journal = Journal(folder, "code")
        for number in range(1, 5):
            name = f"{number:08}.journal"
            self.begun[name] = len(self.records)
            for _ in range(4):
                for _ in range(random.choice([1, 2, 3])):
                    record = random.randint(1, 9), random.randbytes(random.choice([0, 1, 8, 30]))
                    journal.add(*record)
                    self.records.append(record)
                journal.commit()
                if number == 4:
                    self.commits.append(((folder / name).stat().st_size, len(self.records)))
            if number < 4:
                snapshot = journal.begin_segment()
                if number == 1:
                    snapshot.write([IMAGE[:4], IMAGE[4:]])
                    snapshot.done()
                    self.records.clear()
                else:
                    snapshot.failed()
        journal.close()
        self.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}

    def read(self) -> tuple[bytes | None, list[tuple[int, bytes]]]:
        """What a server would read; changes nothing."""
        with contextlib.closing(Folder(self.folder, locked=False)) as folder:
            contents = Contents(folder)
            return contents.image(), [(record.kind, record.payload) for record in contents.records()]

    def judge(self, name: str, offset: int) -> str:
        """One file is not as it was from `offset` on, or at that byte: ``"named"``, or ``"dropped"``.

        Raises
        ------
        AssertionError
            If anything that was acknowledged is missing or changed, and nothing says so.
        """
        try:
            image, records = self.read()
        except (JournalDamaged, JournalUnreadable) as error:
            if str(self.folder / name) not in str(error):
                raise AssertionError(f"{name} was harmed, and the error is about another file") from error
            return "named"
        assert image == IMAGE
        assert records == self.records[: len(records)]
        if name == LAST:
            kept = max((count for end, count in self.commits if end <= offset), default=self.begun[LAST])
            assert len(records) >= kept, f"{kept} were written before byte {offset}, {len(records)} are there"
        assert name == LAST, f"byte {offset} of {name} is not as it was, and nothing says so"
        return "dropped"

    def flip(self, name: str, bit: int) -> str:
        """Flip a bit, judge, and put it back."""
        byte = self.files[name][bit // 8]
        with (self.folder / name).open("r+b", buffering=0) as file:  # a file that is written anew costs ext4 a flush
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)
            try:
                return self.judge(name, bit // 8)
            finally:
                os.pwrite(file.fileno(), bytes([byte]), bit // 8)

    def cut(self, name: str, size: int) -> str:
        """Cut a file, judge, and put back what was cut off."""
        with (self.folder / name).open("r+b", buffering=0) as file:
            os.ftruncate(file.fileno(), size)
            try:
                return self.judge(name, size)
            finally:
                os.pwrite(file.fileno(), self.files[name][size:], size)
