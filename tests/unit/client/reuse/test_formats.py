"""What was stored for reuse by each format that there has been is read."""

from __future__ import annotations

import msgspec

from rain.client.core.reuse.entries import Entry, Output, decode, encode
from rain.client.core.reuse.keys import FORMAT, Call, Code, Part
from rain.client.core.reuse.reasons import History, Noted

ENTRY = (
    "7261696e2d726573756c7420310aefc891aad1d8447f322243d68f94f5db99d9206162303030303030303030303030303030"
    "303030303030303030303030303030a36d3a66a166cb3ff8000000000000cb3fd0000000000000a66628783d312981a16e01"
    "a4736169649299a6726573756c74a4626c6f62a67069636b6c650404c380d920303030303030303030303030303030303030"
    "3030303030303030303030303030c4046461746199c0a3646972c0ce000186a0ce00015f90c281a161a162d9203131313131"
    "313131313131313131313131313131313131313131313131313131c0"
)
"""An entry as format 1 writes it."""
HISTORY = (
    "93a36d3a669196a36d3a66a1669195a166a13103a0ae64656620662878293a207061737381a56e756d7079a3322e31c2a091"
    "92a16b96a163ac63707974686f6e20332e313181a56e756d7079a3322e3181a178a13181a161a76279746573203181a76f75"
    "7470757473a132"
)
"""What is remembered of a function, as format 1 writes it."""


def entry() -> Entry:
    small = Output("result", "blob", "pickle", 4, 4, True, {}, "0" * 32, b"data")
    large = Output(None, "dir", None, 100_000, 90_000, False, {"a": "b"}, "1" * 32)
    return Entry("ab" + "0" * 30, "m:f", "f", 1.5, 0.25, "f(x=1)", {"n": 1}, "said", [small, large])


def history() -> History:
    code = Code("m:f", "f", [Part("f", "1", 3, "", "def f(x): pass")], {"numpy": "2.1"})
    call = Call("c", "cpython 3.11", {"numpy": "2.1"}, {"x": "1"}, {"a": "bytes 1"}, {"outputs": "2"})
    return History("m:f", [code], [Noted("k", call)])


def test_an_entry_of_format_1_is_read_and_still_written_so() -> None:
    assert FORMAT == 1, "keep what the format before wrote, and read it or refuse it by name"
    assert decode(bytes.fromhex(ENTRY)) == entry()
    assert encode(entry()).hex() == ENTRY


def test_a_history_of_format_1_is_read_and_still_written_so() -> None:
    assert msgspec.msgpack.decode(bytes.fromhex(HISTORY), type=History) == history()
    assert msgspec.msgpack.encode(history()).hex() == HISTORY


def test_keys_of_format_1_stay() -> None:
    """Another key for the same call would lose all results: that takes another format."""
    assert history().calls[0].call.key("m:f") == "b532c425feb8caeab746edb946760031"
    assert history().codes[0].digest == "b53634afab20a5fed12429882834abfc"
