"""Journals that earlier versions wrote: one of each format, which this version still reads.

`python -m tests.unit.server.journal.test_formats FOLDER` writes one of the present format. Those that are there stay.
"""

from __future__ import annotations

import shutil
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from rain.server.journal.checking import survey
from rain.server.journal.format import FORMAT
from rain.server.journal.images.dumping import dump
from rain.server.journal.images.loading import load
from rain.server.journal.journal import Journal
from tests.unit.server.journal.test_images import CODEC, Colour, Node, Point, Spec

JOURNALS = Path(__file__).parent / "journals"
RECORDS = [(1, b""), (2, b"a" * 3), (239, bytes(range(256)) * 5), (3, b"after the image"), (7, b"in the last segment")]
CUT = (4, b"this was being written when its server was killed")


def state() -> dict[Any, Any]:
    """What is in the image: something of each kind."""
    shared = [1, -1, 1 << 63, 1 << 80, 1.5, None, True]
    node = Node(shared, Node(bytearray(b"\1\2"), None))
    assert node.next is not None
    node.next.next = node
    node.spec = Spec("name", Point(3, 4), {"user": ["plain", {"b": b"bytes"}]}, [Point(5, 6), "caf\udce9"])
    return {
        "node": node,
        ("key", 7): shared,
        Colour.BLUE: deque([{3, 1, 2}, frozenset({"b", "a"}), (), ((1, 2), 3)]),
    }


def write(folder: Path) -> None:
    """A journal of an image, two segments, and a torn tail."""
    journal = Journal(folder, "code of its time")
    journal.add(9, b"before the image")
    snapshot = journal.begin_segment()
    snapshot.write(dump(CODEC, state()))
    snapshot.done()
    for record in RECORDS[:3]:
        journal.add(*record)
    journal.commit()
    journal.add(*RECORDS[3])
    journal.begin_segment().failed()
    journal.add(*RECORDS[4])
    journal.commit()
    journal.add(*CUT)
    journal.close()
    last = folder / "00000003.journal"
    last.write_bytes(last.read_bytes()[:-7])
    (folder / "lock").unlink()


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_journal_of_this_format_is_read(tmp_path: Path, version: int) -> None:
    folder = tmp_path / "journal"
    shutil.copytree(JOURNALS / f"format-{version}", folder)
    folder.chmod(0o700)
    for path in folder.iterdir():
        path.chmod(0o600)
    journal = Journal(folder, "code of today")
    image = journal.image()
    assert image is not None
    made = load(CODEC, image)
    assert dump(CODEC, made) == dump(CODEC, state())
    assert made["node"].next.next is made["node"]
    assert made[("key", 7)] is made["node"].value
    assert list(journal.records()) == RECORDS
    assert not journal.same_code
    journal.add(1, b"today")
    journal.close()
    assert [file.records for file in survey(str(folder)).files if file.records is not None][-1] == 1


if __name__ == "__main__":
    write(Path(sys.argv[1]))
