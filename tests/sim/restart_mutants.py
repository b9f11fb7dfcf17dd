"""Bugs to plant in how a server comes back: in real code, and in duties of its shell that the simulator models."""

from __future__ import annotations

from tests.sim.mutants import Mutant


def _sim(name: str, module: str, old: str, new: str) -> Mutant:
    """A duty of the server's shell that the simulator's leaves out."""
    return Mutant(name, f"tests.sim.{module}", old, new)


def _channel(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "rain.common.protocol.channel", old, new)


RESTART_MUTANTS = [
    _sim(
        "ticks are not recorded",
        "server",
        "        self.record(rec.Ticked(self.now))\n        for conversation",
        "        self.process.apply(rec.Ticked(self.now))\n        self.process.pack()\n        for conversation",
    ),
    _sim(
        "ends of turns are not recorded",
        "server",
        "        self._take(rec.TurnEnded(self.now))\n",
        "        self.process.apply(rec.TurnEnded(self.now))\n        self.process.pack()\n",
    ),
    _sim(
        "the pace of clients is not recorded",
        "server",
        "            self.record(rec.Paced(self.now, number, behind))\n",
        "            self.process.apply(rec.Paced(self.now, number, behind))\n",
    ),
    _sim(
        "that a peer is gone is not recorded",
        "server",
        "        self.record(rec.Gone(self.now, self.process.numbers[conversation], reason))\n",
        "        self.process.apply(rec.Gone(self.now, self.process.numbers[conversation], reason))\n",
    ),
    _sim(
        "what came over data connections is not recorded",
        "server",
        "            self.record(rec.Uploaded(self.now, number, value.name))\n",
        "            self.process.apply(rec.Uploaded(self.now, number, value.name))\n",
    ),
    _sim(
        "claims are not recorded",
        "process",
        "                side.pack()  # the packets may acknowledge it\n",
        "                record.claims = []\n                side.pack()\n",
    ),
    _sim(
        "of several packets one is recorded",
        "server",
        "            packets, side.packets = side.packets, []\n",
        "            packets, side.packets = side.packets[-1:], []\n",
    ),
    _sim(
        "what is not written leaves",
        "server",
        "self.random.randint(self.committed, written), 0\n",
        "self.random.randint(self.committed, written), done\n",
    ),
    _sim(
        "what is written is lost",
        "server",
        "        self.committed = written\n",
        '        self.committed = max(0, written - (self.doom == doom != "") - (doom == "sending"))\n',
    ),
    _sim(
        "rows of the event log are written before their records",
        "process",
        "                    server.put(partial(server.write_row, len(self.rows) - 1, self.rows[-1]))\n",
        "                    server.write_row(len(self.rows) - 1, self.rows[-1])\n",
    ),
    _sim(
        "rows of the event log are counted anew",
        "process",
        "                self.rows.append((one.type, one.session, one.id))\n",
        "                self.rows += [(one.type, one.session, one.id)] * self.living\n",
    ),
    _sim(
        "what a dead server was to discard stays",
        "server",
        "        for name in process.discarded:\n",
        "        for name in ():\n",
    ),
    _sim(
        "what is said is packed after the packet that acknowledges it",
        "process",
        "                side.pack()  # the packets may acknowledge it\n",
        "",
    ),
    _sim(
        "keys of pools are not there again",
        "process",
        "            self.pools[effect.pool] = effect.salt\n",
        "            self.pools.update({effect.pool: effect.salt} if self.living else {})\n",
    ),
    _channel("of a packet that was had in part all counts", "        if had:\n            del messages[:had]\n", ""),
    _channel(
        "of an early packet that was had in part all counts", "self._early.pop(first)[had:]", "self._early.pop(first)"
    ),
    _channel(
        "a packet that was had in part is not repeated",
        "while kept and kept[0][0] <= received:",
        "while kept and kept[0][0] <= received + 1:",
    ),
    _channel(
        "after a break nothing is repeated",
        "        self.acknowledged(received)\n        return self.unacknowledged()",
        "        self.acknowledged(self._sent)\n        return self.unacknowledged()",
    ),
    Mutant(
        "the core looks at a clock",
        "rain.server.core.core",
        "        state.now = now\n",
        "        state.now = now + id(event) % 64 / 1e9\n",
    ),
    Mutant(
        "conversations are counted anew",
        "rain.server.recovery.machine",
        "        conversation = self.opened = record.conversation\n",
        "        conversation = record.conversation\n        self.opened = len(self.names) + 1\n",
    ),
    Mutant(
        "uploads that were submitted go with their client",
        "rain.server.recovery.machine",
        "                    uploads.pop(upload, None)\n",
        "                    pass\n",
    ),
    Mutant(
        "claims get lost among messages",
        "rain.server.recovery.records",
        'zip(getattr(messages[claim.index], "constants", ()), claim.files, strict=True)',
        'zip(getattr(messages[0], "constants", ()), claim.files)',
    ),
    _sim(
        "an image is of a later state than that of its fork",
        "snapshots",
        "        self.begin, self.image = writing\n        self._remove_records",
        "        self.begin, self.image = writing[0], self.server.process.whole()\n        self._remove_records",
    ),
    _sim(
        "records are removed before the image is there",
        "snapshots",
        "        server.world.clock.after(server.random.choice([0.001, 0.1, 2.0]), self._child_ended, writing)\n",
        "        server.world.clock.after(server.random.choice([0.001, 0.1, 2.0]), self._child_ended, writing)\n"
        "        self._remove_records(writing[0])\n",
    ),
    _sim(
        "records are removed although the child failed",
        "snapshots",
        "random() < FAILS:\n            return\n",
        "random() < FAILS:\n            self._remove_records(writing[0])\n            return\n",
    ),
    _sim(
        "records of the time of an image are removed with those before it",
        "snapshots",
        "        self._remove_records(self.begin)\n",
        "        self._remove_records(self.server.committed)\n",
    ),
    _sim(
        "records that are in an image are applied again",
        "server",
        "        process, begin = self.snapshots.start(), self.snapshots.begin\n",
        "        process, begin = self.snapshots.start(), max(0, self.snapshots.begin - 1)\n",
    ),
    _sim(
        "salts of pools are not in an image",
        "process",
        "        self.pools = dict(image.salts)\n",
        "",
    ),
    Mutant(
        "what clients brought is not in an image",
        "rain.server.recovery.machine",
        '        self.uploads = memory["uploads"]\n',
        '        self.uploads = {number: {} for number in memory["uploads"]}\n',
    ),
    Mutant(
        "the pace of clients is not in an image",
        "rain.server.recovery.machine",
        '            "behind": self.behind,\n',
        '            "behind": {},\n',
    ),
    Mutant(
        "clients are counted anew after an image",
        "rain.server.recovery.machine",
        '            "clients": self._client_count,\n',
        '            "clients": 0,\n',
    ),
    _channel(
        "what was said and not acknowledged is not in an image",
        "        return self._sent, self.acked, self.received, list(self._kept)\n",
        "        return self._sent, self.acked, self.received, []\n",
    ),
    _channel(
        "what was received before an image is received again",
        "        self._sent, self.acked, self.received, kept = memory\n",
        "        self._sent, self.acked, _, kept = memory\n",
    ),
    Mutant(
        "a constant goes while a session has it",
        "rain.server.core.objects",
        "    upload = session.uploads.pop(number, None)\n    if upload is not None:\n",
        "    upload = session.uploads.get(next(iter(session.uploads), 0))\n    if upload is not None:\n",
    ),
    Mutant(
        "constants go as soon as they are submitted",
        "rain.server.core.lifecycle.submit",
        "            session.uploads[constant.id[1]] = location.name\n",
        "            session.uploads[constant.id[1]] = location.name\n"
        "            state.out.append(DiscardUpload([location.name]))\n",
    ),
]
