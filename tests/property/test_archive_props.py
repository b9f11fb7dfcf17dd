"""Any tree round-trips; any damage to an archive is refused or harmless, and nothing is written outside."""

import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from rain.common.errors import RainException
from rain.objects import archive

names = st.one_of(
    st.sampled_from(["a", "b", "c"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.integers(90, 240).map(lambda n: "n" * n),
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 255)
contents = st.one_of(st.binary(max_size=20), st.integers(500, 1100).map(bytes))
targets = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=5).map("/".join)
trees = st.recursive(
    contents | st.tuples(targets),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
).filter(lambda tree: isinstance(tree, dict))


def build(path, tree):
    os.mkdir(path)
    for name, value in tree.items():
        inner = os.path.join(path, name)
        if isinstance(value, dict):
            build(inner, value)
        elif isinstance(value, tuple):
            os.symlink(value[0], inner)
        else:
            with open(inner, "wb") as file:
                file.write(value)


def read(path):
    found = {}
    for entry in os.scandir(path):
        if entry.is_symlink():
            found[entry.name] = (os.readlink(entry.path),)
        elif entry.is_dir():
            found[entry.name] = read(entry.path)
        else:
            with open(entry.path, "rb") as file:
                found[entry.name] = file.read()
    return found


def real_escape(root):
    """Whether a link below `root` leads outside, as the kernel sees it (dangling and looping links lead nowhere)."""
    top = os.path.realpath(root)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            if os.path.islink(path) and os.path.exists(path):
                real = os.path.realpath(path)
                if real != top and not real.startswith(top + os.sep):
                    return True
    return False


@given(trees, st.integers(1, 2000))
@settings(deadline=None, max_examples=150)
def test_trees_round_trip(tree, step):
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/x/y/source", f"{folder}/x/y/target"
        os.makedirs(f"{folder}/x/y")
        build(source, tree)
        try:
            data = b"".join(bytes(piece) for piece in archive.pack(source))
        except RainException:
            return  # a link that leads outside; the unit tests see to what is said
        assert not real_escape(source)
        assert len(data) == archive.packed_size(source)
        archive.unpack((data[at : at + step] for at in range(0, len(data), step)), target)
        assert read(target) == tree
        assert not real_escape(target)


@given(trees, st.data())
@settings(deadline=None, max_examples=150)
def test_damage_stays_inside(tree, data):
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/box")
        build(f"{folder}/source", tree)
        try:
            packed = bytearray(b"".join(bytes(piece) for piece in archive.pack(f"{folder}/source")))
        except RainException:
            return
        for _ in range(data.draw(st.integers(1, 5))):
            kind = data.draw(st.sampled_from(["flip", "cut", "repeat", "name"]))
            at = data.draw(st.integers(0, len(packed) - 1)) if packed else 0
            block = at - at % 512
            if kind == "cut":
                del packed[block : block + 512]
            elif kind == "repeat":
                packed[block:block] = packed[block : block + 512]
            elif kind == "flip" and packed:
                packed[at] ^= data.draw(st.integers(1, 255))
            elif packed[block + 257 : block + 262] == b"ustar":
                # A well-formed header that asks for something else.
                field, size = data.draw(st.sampled_from([(0, 100), (157, 100), (156, 1), (100, 8), (124, 12)]))
                new = data.draw(
                    st.sampled_from([b"../x", b"/x", b"a/../../x", b"a", b"b/c", b"2", b"1", b"5", b"0004755", b"777"])
                )
                packed[block + field : block + field + size] = new[:size].ljust(size, b"\0")
                packed[block + 148 : block + 156] = b" " * 8
                packed[block + 148 : block + 156] = b"%06o\0 " % sum(packed[block : block + 512])
        before = sorted(os.listdir(folder))
        try:
            archive.unpack([packed], f"{folder}/box/target")
        except RainException:
            assert os.listdir(f"{folder}/box") == []
        else:
            assert os.listdir(f"{folder}/box") == ["target"]
            assert not real_escape(f"{folder}/box/target")
        assert sorted(os.listdir(folder)) == before
