"""Which of the spans of time go into one lane: as few lanes as spans overlap, whatever the order in which they came."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

TOLERANCE_S = 0.002
"""What follows each other in one lane may seem to overlap by so much: clocks are read at slightly other times."""


def lanes_of(spans: Sequence[tuple[float, float]], tolerance: float = TOLERANCE_S) -> list[int]:
    """The lane of each span.

    There are never more lanes than spans that overlap at one time. A span goes into the first lane that is free, so
    that what ran one after the other stands in the first lanes.

    Parameters
    ----------
    spans : sequence of (float, float)
        Begin and end of each, in seconds.
    tolerance : float
        Seconds by which spans in a lane may overlap; of short spans the half is less.

    Returns
    -------
    list of int
        As long as `spans`; the first lane is 0.

    Examples
    --------
    A long one, and three short ones beside it that were told of in another order:

    >>> lanes_of([(0.0, 9.0), (6.0, 9.0), (0.0, 3.0), (3.0, 6.0)])
    [1, 0, 0, 0]
    """
    found = [0] * len(spans)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    count = 0
    for place in sorted(range(len(spans)), key=spans.__getitem__):
        begin, end = spans[place]
        late = begin + min(tolerance, (end - begin) / 2)
        while busy and busy[0][0] <= late:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, count = count, count + 1
        found[place] = lane
        heappush(busy, (max(begin, end), lane))
    return found
