"""Data to be looked at, and a look at them as a browser has it."""

from __future__ import annotations

import json

import msgspec

from rain.common import DataInstance
from rain.common.ids import ID
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.notebook.inspectors import Inspection
from rain.notebook.protocol.requests import request_of
from rain.objects.readers import BytesReader, FileReader, ObjectReader

PAGE_BYTES_MAX = 2 << 20
GIB = 1 << 30


def instance(data, content_type=None, label="it"):
    source = BytesReader(data) if isinstance(data, bytes) else data
    info = ObjectInfo(size=source.size, content_type=content_type, user={"seen": 1})
    return DataInstance(source, ObjectSpec(ID(3, 5), label, user={"note": "x"}), info)


class Look:
    """An inspection whose answers are checked to be what can be sent."""

    def __init__(self, data, content_type=None, label="it"):
        self.instance = instance(data, content_type, label)
        self.inspection = Inspection(lambda: self.instance)

    def answer(self, **parameters):
        asked = request_of({"type": "inspect", **parameters})
        looked, self.buffers = self.inspection.page(asked)
        # As ipykernel does: lone surrogates and NaN would not get through.
        text = json.dumps(msgspec.to_builtins(looked), ensure_ascii=False, allow_nan=False)
        assert len(text.encode()) < PAGE_BYTES_MAX
        answer = json.loads(text)
        answer |= {name: answer["page"].pop(name) for name in ("view", "note") if name in answer["page"]}
        assert answer["view"] in answer["views"]
        assert all(isinstance(buffer, bytes) for buffer in self.buffers)
        return answer

    def page(self, **parameters):
        """The page; of a value that is a table, that table with the value's type."""
        page = self.answer(**parameters)["page"]
        return {**page["table"], "type": page["type"]} if page.get("table") else page

    def piece(self, **parameters):
        """The facts of a piece of a download, and its bytes."""
        piece, (data,) = self.inspection.piece(request_of({"type": "download", **parameters}))
        return piece, data

    def node(self, **parameters):
        return self.page(view="tree", **parameters)["node"]

    def bytes_read(self, path=()):
        return self.inspection._opened[path].subject.ranges.bytes_read


def sparse(tmp_path, head=b"", size=10 * GIB, tail=b"", name="sparse"):
    """A file with almost nothing in it, of any size."""
    path = tmp_path / name
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(size)
        if tail:
            file.seek(size - len(tail))
            file.write(tail)
    return FileReader(str(path))


class Elsewhere(ObjectReader):
    """Reads over some network, piece by piece."""

    def __init__(self, data, size=None):
        self.data = data
        self.size = len(data) if size is None else size
        self.reads = []

    def _read(self, offset, length):
        assert length is not None, "all of it was asked for"
        self.reads.append((offset, length))
        return self.data[offset : offset + length]


def elsewhere(data, size=None):
    """A reader that reads over some network, and what was read of it."""
    reader = Elsewhere(data, size)
    return reader, reader.reads
