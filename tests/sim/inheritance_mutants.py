"""Bugs to plant in how a governor takes over what one that died has left, as those of `tests.sim.mutants`."""

from __future__ import annotations

from tests.sim.mutants import Mutant


def _index(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "rain.governor.inheritance.index_format", old, new)


INHERITANCE_MUTANTS = [
    _index(
        "damage in an index is not seen",
        "    if _CHECKSUM.unpack_from(data, end)[0] != xxhash.xxh3_64_intdigest(data[offset:end], seed=offset):\n"
        "        return None\n",
        "",
    ),
    _index(
        "half an entry at the end of an index is read",
        "    if end + _CHECKSUM.size > len(data):\n        return None\n",
        "",
    ),
    _index(
        "what is behind the damage in an index is believed",
        "            break\n",
        "            offset += 1\n            continue\n",
    ),
    _index(
        "of an index with a damaged end nothing is taken over",
        "    return None if about is None else Index",
        "    return None if about is None or problem else Index",
    ),
    _index(
        "what went is still in an index",
        "                objects.pop(id, None)\n",
        "                pass\n",
    ),
    _index(
        "what moved is in an index where it was",
        "            objects[entry.id] = entry\n",
        "            objects.setdefault(entry.id, entry)\n",
    ),
    Mutant(
        "what was taken over is not compared",
        "tests.sim.governor",
        "        if not self.is_whole(id) or (self.world.faulty and",
        "        if (self.world.faulty and",
    ),
    Mutant(
        "what a governor has left is awaited for ever",
        "rain.server.core.lifecycle.succession",
        "Absence(governor.id, state.now + wait_s, ",
        "Absence(governor.id, state.now + wait_s * 1e9, ",
    ),
    Mutant(
        "after a governor that found nothing what is lost is awaited on",
        "rain.server.core.lifecycle.succession",
        "    if not message.more:\n        _wait_no_more(state, governor)\n",
        "    if message.objects and not message.more:\n        _wait_no_more(state, governor)\n",
    ),
]
