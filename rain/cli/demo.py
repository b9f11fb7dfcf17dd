"""`rain demo`: the words of a small text counted and ranked, to see each kind of task once."""

from __future__ import annotations

import time
from collections.abc import Callable

TEXT = """\
It was a bright cold day in the lab and the clusters were striking thirteen
the tasks were many and the cpus were few and the cpus were shared by all
and all the data lay where they were made and were not moved before the day was done
"""


def show(say: Callable[[str], None]) -> None:
    """Run the demonstration; `say` gets its lines.

    Raises
    ------
    RainException
        If the cluster cannot be started or a task fails.
    """
    from rain import Client, Input, Program, blob, remote, tasks

    @remote(outputs=1)
    def count(ctx, text):  # type: ignore[no-untyped-def]
        import collections

        words = collections.Counter(text.get_str().split())
        return "".join(f"{number:3} {word}\n" for word, number in sorted(words.items()))

    began = time.perf_counter()
    with Client.local(cpus=2) as client:
        say(f"a private cluster is up after {time.perf_counter() - began:.2f} s: {client!r}")
        with client.new_session("demo") as session:
            lines = [blob(line + "\n") for line in TEXT.splitlines()]
            text = tasks.Concat(lines)
            counted = count(text)
            by_number = Program(["sort", "-rn"], stdin=Input("list"), stdout=True)
            ranked = by_number(list=counted)
            ranked.output.keep()
            session.submit()
            top = ranked.output.fetch().get_str().splitlines()[:5]
            say(f"{session.name}: {len(lines)} blobs -> Concat -> remote Python -> the program sort")
            for line in top:
                say(line)
    say("everything that was started is gone again")
