"""Why a task has not started, as the server tells it, in one sentence."""

from __future__ import annotations

import re

SENTENCE_CHARS_MAX = 300
_ATTEMPT = re.compile(r" This is attempt \d+\.$")
_PLACE = "or on a place of "
_ASKS = re.compile(r"is ready: all its inputs are there\. (?=It asks for)")


def in_a_sentence(text: str, title: str) -> str:
    """What stands in the way of a task, in short.

    Parameters
    ----------
    text : str
        What `Task.explain` said of it.
    title : str
        How the server calls the task.

    Examples
    --------
    >>> said = "Task a (1/3) waits for 1 of its 2 inputs:\\n  object x (1/2), made by task b (1/1), which is running"
    >>> in_a_sentence(said, "a (1/3)")
    'Waits for 1 of its 2 inputs: object x (1/2), made by task b (1/1), which is running'
    """
    head, *rest = text.splitlines() or [""]
    listed = [line.strip() for line in rest if line.startswith("  ")]
    places = next((line for line in listed if line.startswith(_PLACE)), "")
    listed = [line for line in listed if not line.startswith(_PLACE)]
    sentence = _ATTEMPT.sub("", head.removeprefix(f"Task {title} "))
    sentence = _ASKS.sub("", sentence)
    if listed:
        others = len(listed) - 1
        listed[0] += f" (and {others} more)" if others else ""
        sentence = f"{sentence.rstrip(':')}: {listed[0]}"
    if places:
        sentence = f"{sentence}, {places}"
    if len(sentence) > SENTENCE_CHARS_MAX:
        sentence = sentence[: SENTENCE_CHARS_MAX - 1] + "…"
    return sentence[:1].upper() + sentence[1:]
