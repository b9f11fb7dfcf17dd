"""What `faulthandler` writes of the threads of a dying Python process, with the user's frames only."""

from __future__ import annotations

import re

from rain.client.functions import call_sites

_HEAD = re.compile(r"(Current thread|Thread) 0x[0-9a-f]+.*")
_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')
_OURS = re.compile(r"/rain/executor/[\w/]+\.py$|^<string>$|/threading\.py$")
_MODULES = "Extension modules: "


def readable(text: str) -> str:
    """`text` with the user's frames only, and the numbers of cells instead of their files.

    Examples
    --------
    >>> print(readable('''Fatal Python error: Aborted
    ...
    ... Thread 0x00007fbd076f96c0 (most recent call first):
    ...   File "/lib/rain/executor/responder.py", line 83 in run
    ...
    ... Current thread 0x00007fbd08a4cb80 (most recent call first):
    ...   File "model.py", line 5 in fit
    ...   File "/lib/rain/executor/loop.py", line 77 in run
    ... It is not run again.'''))
    Fatal Python error: Aborted
    <BLANKLINE>
    Current thread 0x00007fbd08a4cb80 (most recent call first):
      File "model.py", line 5, in fit
    It is not run again.
    """
    lines: list[str] = []
    head = -1  # where the head of the present thread is
    for line in text.split("\n"):
        frame = _FRAME.fullmatch(line)
        if frame is not None and head >= 0:
            if not _OURS.search(frame[1]):
                lines.append(f"  {call_sites.name_of_file(frame[1])}, line {frame[2]}, in {frame[3]}")
            continue
        if head >= 0 and len(lines) == head + 1:  # a thread with frames of Rain only
            del lines[head:]
            if not line:
                head = -1
                continue
        head = len(lines) if _HEAD.fullmatch(line) else -1
        if not line.startswith(_MODULES):
            lines.append(line)
    return "\n".join(lines)
