import base64
import json
import os
import struct
import threading
import zlib

import msgspec
import pytest
from msgspec.structs import replace

from rain.common import DataInstance
from rain.common.errors import RainException
from rain.common.spec import ObjectInfo
from rain.notebook.inspectors import Inspection, static_text
from rain.notebook.inspectors.limits import DOWNLOAD_PIECE_BYTES
from rain.notebook.inspectors.ranges import Ranges
from rain.notebook.inspectors.viewers.images import image_size, image_type
from rain.notebook.protocol.data import Overview, Piece
from rain.notebook.protocol.details import Link
from rain.notebook.protocol.requests import Inspect
from rain.objects import archive
from rain.objects.readers import BytesReader, TarReader, TreeReader
from tests.unit.notebook.inspect.rig import Look, elsewhere, instance


def png(width=2, height=2):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(14))) + chunk(b"IEND", b"")


IMAGES = {
    "image/png": png(300, 200),
    "image/gif": b"GIF89a" + struct.pack("<HH", 300, 200) + bytes(20),
    "image/bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, 300, -200) + bytes(30),
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10) + b"\xff\xc0\x00\x11\x08\x00\xc8\x01\x2c" + bytes(20),
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8X"
    + bytes(8)
    + (299).to_bytes(3, "little")
    + (199).to_bytes(3, "little"),
}


@pytest.mark.parametrize("mime", IMAGES)
def test_pictures_are_known_by_their_bytes(mime):
    for content_type in (None, f"mime/{mime}", "mime/application/octet-stream", "user/thing"):
        look = Look(IMAGES[mime], content_type)
        answer = look.answer()
        assert (answer["view"], answer["page"]) == ("image", {"mime": mime, "width": 300, "height": 200})
        assert look.buffers == [IMAGES[mime]]


@pytest.mark.parametrize("mime", IMAGES)
def test_pictures_that_are_cut_off(mime):
    for length in range(len(IMAGES[mime])):
        head = IMAGES[mime][:length]
        image_type(head), image_size(Ranges.of(head))
        Look(head, f"mime/{mime}").answer()


def test_what_only_says_that_it_is_a_picture_is_none():
    assert Look(b"<script>", "mime/image/png").answer()["view"] == "text"
    assert Look(b"<svg onload='alert(1)'/>", "mime/image/svg+xml").answer()["views"] == ["image", "text", "hex"]
    assert Look(b"<b>", "mime/text/html").answer()["view"] == "text"


def test_pictures_with_too_many_pixels_are_not_shown():
    answer = Look(png(100_000, 100_000)).answer()
    assert answer["view"] == "hex"
    assert "IMAGE_PIXELS_MAX" in answer["note"]


def jpeg(width, height, metadata=0):
    """Its head, with so many bytes of metadata as cameras and Photoshop write them."""
    parts = b""
    while metadata > 0:
        parts += b"\xff\xe1" + struct.pack(">H", 65_533) + bytes(65_531)
        metadata -= 65_533
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(12)
    return b"\xff\xd8" + parts + b"\xff" + frame + b"\xff\xda" + bytes(20)


def gif(screen, frame, blocks=1):
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\xf1\0\0" + bytes(12)
    comment = b"\x21\xfe" + (b"\x05hello" * blocks) + b"\0"
    return head + comment + b"\x2c" + struct.pack("<HHHH", 0, 0, *frame) + bytes(20)


@pytest.mark.parametrize("make", [lambda size: jpeg(*size, 3 << 16), lambda size: gif((1, 1), size)])
def test_pixels_are_counted_wherever_the_picture_says_how_many(make):
    assert Look(make((300, 200))).page() == {"mime": image_type(make((1, 1))), "width": 300, "height": 200}
    answer = Look(make((60_000, 60_000))).answer()
    assert answer["view"] == "hex"
    assert "IMAGE_PIXELS_MAX" in answer["note"]


def test_pictures_that_do_not_say_how_many_pixels_they_have_are_not_shown():
    for data in (jpeg(300, 200)[:10], b"\xff\xd8\xff\xda" + bytes(50), gif((5, 5), (5, 5), 20_000)):
        answer = Look(data).answer()
        assert answer["view"] == "hex"
        assert "how many pixels" in answer["note"]


# -- choosing views ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "content_type", "label", "views"),
    [
        (b"{}", None, "x", ["tree", "text", "hex"]),
        (b"[1]", None, "x", ["tree", "text", "hex"]),
        (b"[section]\nkey=1\n", None, "x", ["text", "hex"]),
        (b"{not json", None, "x", ["text", "hex"]),
        (b'{"a": 1}\n{"a": 2}\n', None, "x", ["tree", "text", "hex"]),
        (b'{"a": 1}\n{"a": 2\n', None, "x", ["text", "hex"]),
        (b"a,b\n1,2\n", None, "x.csv", ["table", "text", "hex"]),
        (b"a\tb\n1\t2\n", None, "x.tsv", ["table", "text", "hex"]),
        (b"a,b\n1,2\n", None, "x", ["text", "table", "hex"]),
        (b"a,b\n1,2\n", "text", "x.csv", ["text", "hex"]),
        (b"\x80\x04N.", None, "x", ["pickle", "value", "hex"]),
        (b"\x1f\x8b\x08\x00\x00", None, "x.gz", ["hex"]),
        (b"\x08\x96\x01", "protobuf/Thing", "x", ["hex"]),
        (b"hello", "protobuf", "x", ["text", "hex"]),
        (b"hello", "user/mine", "x", ["text", "hex"]),
        (b"{}", "mime/application/ld+json", "x", ["tree", "text", "hex"]),
        (b"a,b", "mime/text/csv; charset=utf-8", "x", ["table", "text", "hex"]),
        (b"", None, "x", ["text", "hex"]),
        (b"", "json", "x", ["tree", "text", "hex"]),
    ],
)
def test_which_views_there_are(data, content_type, label, views):
    assert Look(data, content_type, label).answer()["views"] == views


@pytest.mark.parametrize(
    "parameters",
    [
        {"view": "nope"},
        {"view": 7},
        {"view": "x" * 10**6},
        {"view": "value"},
        {"offset": -1},
        {"offset": "0"},
        {"offset": 1e300},
        {"offset": float("nan")},
        {"offset": True},
        {"offset": 1 << 70},
        {"offset": []},
        {"path": "a"},
        {"path": [1]},
        {"path": [".."]},
        {"path": ["a/b"]},
        {"path": [""]},
        {"path": ["a\0"]},
        {"path": ["a"] * 10_000},
        {"path": ["x" * 10**6]},
        {"path": ["a"]},
        {"at": "x"},
        {"at": [-1]},
        {"at": [1.5]},
        {"at": [None]},
        {"at": [True]},
        {"at": [0], "view": "tree"},
        {"encoding": 3},
        {"encoding": "nope", "view": "text"},
    ],
)
def test_wrong_parameters_are_told(parameters):
    look = Look(b"text", "text")
    with pytest.raises(RainException) as caught:
        look.page(**parameters)
    assert len(str(caught.value)) < 500


def test_what_else_is_asked_for_is_refused():
    look = Look(b"text", "text")
    assert look.page(key="o5", request=7, offset=2, path=[], view=None)["text"] == "xt"
    with pytest.raises(RainException, match="unknown field `more`"):
        look.page(more=1)


def overview_of(**facts):
    """What is known of an object of two bytes."""
    plain = {"digest": None, "holders": [], "maker": None, "spec_user": {}, "info_user": {}, "path": [], "steps": []}
    return Overview(
        **{
            "title": "label",
            "id": "3/5",
            "content_type": "json",
            "data_type": "blob",
            "size": "2 bytes",
            **plain,
            **facts,
        }
    )


def test_the_overview_is_what_the_client_knows_or_the_instance_itself():
    known = overview_of(digest="00ff", holders=["host:1"], spec_user={"nan": float("nan")})
    assert Inspection(lambda: instance(b"12", "json"), lambda: known).page(Inspect())[0].overview == replace(
        known, spec_user={"nan": "nan"}
    )
    itself = Inspection(lambda: instance(b"12", "json", "label")).page(Inspect())[0].overview
    assert itself == overview_of(spec_user={"note": "x"}, info_user={"seen": 1})


def test_hostile_facts_are_made_fit_to_be_sent():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    user = {
        "\udcff": "\ud800",
        "deep": deep,
        "many": list(range(10**5)),
        "long": "x" * 10**6,
        "big": 1 << 10**6,
        3: {1},
    }
    known = overview_of(spec_user=user, title="\udcff" * 10**6, maker=Link("t1", "x" * 10**6, "new"))
    answer, _ = Inspection(lambda: instance(b"x"), lambda: known).page(Inspect())
    assert len(json.dumps(msgspec.to_builtins(answer), allow_nan=False, ensure_ascii=False).encode()) < 50_000


# -- failures ---------------------------------------------------------------------------------------


def test_data_that_are_gone_are_opened_anew():
    opened = []

    class Gone:
        is_dir, size = False, 5

        def read(self, offset=0, length=None):
            raise OSError("connection reset")

    def open():
        opened.append(1)
        source = Gone() if len(opened) == 1 else BytesReader(b"there")
        return DataInstance(source, None, ObjectInfo(size=5, content_type="text"))

    inspection = Inspection(open)
    with pytest.raises(RainException, match="connection reset"):
        inspection.page(Inspect())
    assert inspection.page(Inspect())[0].page.text == "there"
    inspection.page(Inspect(view="hex"))
    assert len(opened) == 2


def test_what_open_raises_passes():
    def open():
        raise RainException("it is not kept any more")

    with pytest.raises(RainException, match="not kept"):
        Inspection(open).page(Inspect())


def test_a_source_that_ends_early():
    source, _ = elsewhere(b"only this", size=10**6)
    for content_type in ("text", "json", "cbor", "arrow", "pickle", "mime/text/csv", None):
        look = Look(source, content_type)
        look.answer()
        for view in ("text", "hex"):
            try:
                look.page(view=view, offset=500)
            except RainException:
                pass
    with pytest.raises(RainException, match="announced"):
        look.piece(offset=500)


def test_many_threads_may_ask():
    look = Look(json.dumps([[number] * 50 for number in range(5000)]).encode(), "json")
    failures = []

    def ask(start):
        try:
            for number in range(start, 3000, 97):
                assert look.inspection.page(Inspect(at=[number], view="tree"))[0].page.node.count == 50
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# -- downloading ------------------------------------------------------------------------------------


def test_downloading_in_pieces():
    data = bytes(range(256)) * 10_000
    look = Look(data, "user/x", "../a\u202e/b:c")
    got, end = b"", 0
    while True:
        piece, data_of_piece = look.piece(offset=end)
        assert len(data_of_piece) <= DOWNLOAD_PIECE_BYTES
        got += data_of_piece
        end = piece.end
        if end >= piece.size:
            break
    assert got == data
    assert piece == Piece("b_c", len(data), len(data), "2.4 MiB", "2.4 MiB")


@pytest.mark.parametrize(
    ("label", "content_type", "name"),
    [
        (None, None, "data"),
        ("out", "json", "out.json"),
        ("out.x", "json", "out.x"),
        ("out", "mime/image/jpeg", "out.jpg"),
        ("out", "mime/text/csv", "out.csv"),
        ("out", "mime/x/../../etc", "out.etc"),
        ("out", "text-utf-16", "out.txt"),
        ("..", "pickle", "data.pkl"),
        ("\udcff\x1b", None, "\ufffd_"),
    ],
)
def test_names_of_downloads(label, content_type, name):
    assert Look(b"1", content_type, label).piece()[0].name == name


def test_downloads_of_nothing_and_of_directories(tmp_path):
    assert Look(b"").piece(offset=9) == (Piece("it", 0, 0, "0 bytes", "0 bytes"), b"")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f.bin").write_bytes(b"abc")
    look = Look(TreeReader(str(tmp_path / "d")), "dir")
    with pytest.raises(RainException, match="write"):
        look.piece()
    assert look.piece(path=["f.bin"], offset=1) == (Piece("f.bin", 3, 3, "3 bytes", "3 bytes"), b"bc")


# -- directories ------------------------------------------------------------------------------------


@pytest.fixture(params=["here", "archive"])
def folder(request, tmp_path):
    root = tmp_path / "stored"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / "data.json").write_bytes(b'{"a": [1, 2]}')
    (root / "table.csv").write_bytes(b"a,b\n1,2\n")
    (root / "picture").write_bytes(png())
    (root / "link").symlink_to("sub/data.json")
    (root / "to-sub").symlink_to("sub")
    (root / "\u202eodd <b>").write_bytes(b"x")
    with open(os.path.join(os.fsencode(root), b"da\xdf"), "wb") as file:
        file.write(b"not UTF-8")
    (root / "da\\xdf").write_bytes(b"backslash")
    if request.param == "here":
        return TreeReader(str(root))
    return TarReader(b"".join(bytes(piece) for piece in archive.pack(str(root))), 5)


def test_a_directory_is_a_list_of_names(folder):
    answer = Look(folder, "dir").answer()
    assert (answer["view"], answer["views"]) == ("directory", ["directory"])
    entries = {entry["name"]: entry for entry in answer["page"]["entries"]}
    assert entries["table.csv"] == {"name": "table.csv", "kind": "file", "size": 8, "size_text": "8 bytes"}
    assert entries["sub"] == {"name": "sub", "kind": "dir"}
    assert entries["link"] == {"name": "link", "kind": "link", "target": "sub/data.json"}
    assert answer["page"]["total"] == len(entries) == 8


def test_each_file_opens_by_its_name_and_bytes(folder):
    look = Look(folder, "dir")
    for name, view, content_type in (
        ("table.csv", "table", "mime/text/csv"),
        ("picture", "image", "mime/image/png"),
        ("link", "tree", "json"),
    ):
        answer = look.answer(path=[name])
        assert (answer["view"], answer["overview"]["content_type"]) == (view, content_type)
        assert answer["overview"]["path"] == [name]
        assert answer["overview"]["data_type"] == "blob"
    assert look.answer(path=["sub", "data.json"])["overview"]["size"] == "13 bytes"
    assert look.page(path=["to-sub"])["total"] == 2
    assert look.page(path=["to-sub", "data.json"])["node"]["children"][0]["label"] == "a"
    assert look.page(path=["sub", "empty"]) == {"entries": [], "offset": 0, "total": 0}


def test_odd_names_are_sent_and_understood(folder):
    look = Look(folder, "dir")
    for entry in look.page()["entries"]:
        if entry["kind"] == "file":
            assert look.answer(path=[entry["name"]])["overview"]["size"] == entry["size_text"]
    assert look.page(path=["da\\xdf"])["text"] == "not UTF-8"
    assert look.page(path=["da\\\\xdf"])["text"] == "backslash"


@pytest.mark.parametrize("path", [["nope"], ["table.csv", "x"], ["sub", "nope"], ["link", "x"]])
def test_what_is_not_there_is_told(folder, path):
    look = Look(folder, "dir")
    with pytest.raises(RainException):
        look.page(path=path)
    assert look.page()["total"] == 8


def look_at_folder(root):
    """Without adding up the sizes of what is in it, as for an object whose size is known."""
    look = Look(b"")
    look.inspection = Inspection(lambda: DataInstance(TreeReader(str(root)), None, ObjectInfo(size=0)))
    return look


def test_links_that_lead_outside_are_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "stored"
    root.mkdir()
    (root / "out").symlink_to("../secret")
    (root / "abs").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    look = look_at_folder(root)
    assert [entry["kind"] for entry in look.page()["entries"]] == ["link"] * 3
    for name in ("out", "abs", "loop"):
        with pytest.raises(RainException):
            look.page(path=[name])
        with pytest.raises(RainException):
            look.piece(path=[name])


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_many_entries_come_in_pages(tmp_path, count):
    root = tmp_path / "stored"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for number in range(count):
        os.mknod(f"f{number:06}", dir_fd=fd)
    os.close(fd)
    look = look_at_folder(root)
    page = look.page(offset=count - 50)
    assert page["total"] == count
    assert [entry["name"] for entry in page["entries"]] == [f"f{number:06}" for number in range(count - 50, count)]
    assert len(look.page()["entries"]) == 200
    assert look.page(offset=10**9) == {"entries": [], "offset": count, "total": count, "unsorted": True}


# -- static text ------------------------------------------------------------------------------------


def test_static_text_is_short_plain_and_the_same_each_time(folder):
    for it in (
        instance(b'{"a": 1}', "json"),
        instance(b"a,b\n1,2\n", "mime/text/csv"),
        instance(bytes(1000)),
        instance("\x1b[31m\u202e\x07".encode() * 500, "text", "evil\x1b[0m\u202e"),
        instance(png()),
        instance(folder, "dir"),
        instance(base64.b64decode("gASVBQAAAAAAAABdlEsBYS4="), "pickle"),
        instance(b"nope", "arrow"),
        instance(b"", "json"),
    ):
        text = static_text(it)
        assert text == static_text(it)
        assert all(line.isprintable() for line in text.split("\n"))
        assert len(text) < 1500
        assert "0x" not in text


def test_static_text_of_what_cannot_be_read():
    class Gone:
        is_dir, size = False, 5

        def read(self, offset=0, length=None):
            raise RainException("gone")

    assert static_text(DataInstance(Gone(), None, ObjectInfo(size=5))) == "data: no content type, 5 bytes"
