"""What is known of one task's reuse, and which of the records of a session its server knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rain.client.core.records import Record
    from rain.client.core.reuse.keys import Call, Code


class Reuse:
    """Of a task whose result may be reused.

    Attributes
    ----------
    code : Code
    code_digest : str
    parameters : any
        Tells the names of the arguments of a call that is pickled as a few plain values.
    arguments : dict of str to str or None
        Digests by parameter; None while they are still to be told by that pickle.
    modules : set of str
        Installed modules whose classes and functions are among the arguments.
    options : dict of str to str
        What of the task's options counts.
    unclear : str
        Why it cannot be told what the result depends on; empty if it can.
    key : str
        Empty until it was looked for.
    call : Call or None
    hit : bool
        Whether its result was there, so that it never ran.
    text : str
        ``"reused: …"`` or ``"computed …"``, or why neither can be said; empty until it was looked for.
    sent : set of int
        Numbers of outputs of a hit that were sent to the server, as constants, because a task there needs them.
    """

    __slots__ = (
        "arguments", "call", "code", "code_digest", "hit", "key", "modules", "options", "parameters",
        "sent", "text", "unclear",
    )  # fmt: skip

    def __init__(
        self, code: Code, code_digest: str, parameters: Any = None, arguments: dict[str, str] | None = None
    ) -> None:
        self.code = code
        self.code_digest = code_digest
        self.modules: set[str] = set()
        self.parameters = parameters
        self.arguments = arguments
        self.options: dict[str, str] = {}
        self.unclear = code.unclear
        self.key = ""
        self.call: Call | None = None
        self.hit = False
        self.text = ""
        self.sent: set[int] = set()


def at_server(record: Record) -> bool:
    """Whether the server knows a submitted task or object: not a task that was reused, nor what that made unless
    another task needed it."""
    task: Any = getattr(record, "task", record)
    if task is None or task.reuse is None or not task.reuse.hit:
        return True
    return record is not task and record.spec.id.id in task.reuse.sent
