"""Conversations over connections that may break, and the listener that holds on to them.

Theory of operation
-------------------
A `Conversation` is a `rain.common.protocol.channel.Channel` and the `Link` that carries it at present. `send` encodes
a message at once (so that a mistake shows where it was made) and gathers it; at the end of the loop's turn all that was
gathered leaves as one packet, or several of about `BATCH_BYTES_TARGET`. Acknowledgements ride on packets; a bare one is
sent when many packets came and nothing went, and as a heartbeat every `HEARTBEAT_S`.

When the link breaks, the side that connected dials again with growing pauses and names the conversation in its
`Hello`; the listening side keeps a conversation without a link for a while that depends on the peer's role. Nothing of
this is seen by the cores: messages arrive in order and exactly once, or the conversation is given up and `on_gone` is
called, once. One table says how long each side waits, `rain.common.limits.Deadlines`.

Signs of life: the connecting side drops a link on which it heard nothing for `LINK_SILENT_S`, or on which the server
talks and acknowledges nothing, though all has left this machine: such a link is open in one direction only, and another
one may work. A governor that is silent for `GOVERNOR_LOST_S` is given up at once, as its process may be stopped; a
silent client may merely hold the interpreter's lock in a long computation, or be stopped by a debugger, so there the
kernel's keep-alive decides, and on the same machine whether the process is still there (`rain.net.peer_identity`). Time
in which our own loop stood still is not held against the peer.

A server whose machine refuses connections does not run, and one whose machine accepts connections that are not answered
is stopped, or being started again. It cannot have given anything up meanwhile, and comes back with all that it knew;
so clients and governors that once met that wait for `SERVER_RETURN_S`. One that cannot be reached at all may well live,
and have given a governor's work to others: governors give up after `GOVERNOR_LOST_S` too, and clients after
`SERVER_AWAY_S`, before the server does.

A frame with an empty header ends a conversation on purpose; its payload says why.

A plain asyncio protocol on Tornado's loop carries the bytes, not a Tornado stream. Measured between two processes (2
cores, Python 3.11) they are equal: 68 µs for one small message there and back, 2 GB/s for large objects. The protocol
is called with what arrived instead of resuming a coroutine per connection, and hands its transport over to
`DataConnection`, under TLS too, so it is the simpler of the two.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import DEADLINES, Deadlines
from rain.common.protocol.messages import Hello, Opening, Refused, Welcome
from rain.net.auth import Credentials
from rain.net.connection import Link
from rain.net.conversation import PYTHON, Conversation, Messages
from rain.net.data_connection import DataConnection, open_data
from rain.net.guarded import guarded
from rain.net.handshake import NotListening, NotRunning, Unanswered, dial
from rain.net.listener import Listener, listen
from rain.net.peer_identity import own_identity

__all__ = ["Conversation", "DataConnection", "Listener", "converse", "listen", "open_data", "reach"]

log = logging.getLogger("rain.transport")
_REDIAL_PAUSE_MIN_S = 0.02


class _Connected(Conversation):
    """The connecting side: dials again by itself."""

    def __init__(
        self,
        target: str,
        credentials: Credentials,
        hello: Hello,
        away_s: float,
        unreachable_s: float,
        *rest: Any,
        deadlines: Deadlines,
    ) -> None:
        super().__init__(hello.conversation, *rest)
        self._deadlines = deadlines
        self._target = target
        self._credentials = credentials
        self._hello = hello
        self._away_s = away_s
        self._unreachable_s = unreachable_s
        self._silence_s = deadlines.link_silent_s
        self._dialling: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._waits_for = 0  # number of the message that the server has to acknowledge next
        self._waits_since = 0.0
        self._unheard_s = deadlines.link_unheard_s

    async def _open(self) -> None:
        """Dial, and carry on there.

        Raises
        ------
        RainException, _Over
        """
        resume = self.peer is not None
        limit_s = self._deadlines.handshake_s
        link = await dial(self._target, self._credentials, self._hello.role, handshake_s=limit_s)
        try:
            link.send(msgspec.structs.replace(self._hello, received=self._channel.received, resume=resume))
            async with asyncio.timeout(limit_s):
                answer = await link.opening(Opening)
        except TimeoutError:
            link.abort()
            raise Unanswered(f"{self._target} does not answer within HANDSHAKE_S ({limit_s:g} s)") from None
        except OSError:
            link.abort()
            raise RainException(f"{self._target} closed the connection: is the server stopping?") from None
        except BaseException:
            link.abort()
            raise
        if isinstance(answer, Welcome) and (answer.resumed or not resume):
            self._welcomed(link, answer)
            return
        link.abort()
        if isinstance(answer, Refused):
            raise _Over("refused", f"{self._target} refused the connection: {answer.reason}")
        if isinstance(answer, Welcome):
            raise _Over(
                "forgotten",
                f"{self._target} does not know this conversation any more (was it restarted, or "
                "replaced by another version?)",
            )
        raise _Over("broken", f"{self._target} opened the conversation with a message that does not belong there")

    def _welcomed(self, link: Link, welcome: Welcome) -> None:
        if welcome.data_key:
            self._credentials.keys["data"] = welcome.data_key
        self.peer = welcome
        try:
            self._carry_on(link, welcome.received)
        except ProtocolError as error:
            link.abort()
            raise _Over("broken", str(error)) from None

    def _carry_on(self, link: Link, received: int) -> None:
        self._waits_since = self._loop.time()
        super()._carry_on(link, received)

    def _objection(self, link: Link, silence: float) -> str:
        """Whether the server is deaf on this link: it talks, all has left this machine, and it acknowledges nothing."""
        now, waits_for = self._loop.time(), self._channel.oldest_kept
        if waits_for != self._waits_for:
            self._waits_for, self._waits_since = waits_for, now
            self._unheard_s = self._deadlines.link_unheard_s
        elif not waits_for or link.under_way or silence > 2 * self._deadlines.heartbeat_s:
            self._waits_since = now
        self._waits_since += self._stood_still()
        if now - self._waits_since <= self._unheard_s:
            return ""
        # What looks like this may also be a slow way with large buffers: then each attempt is given more time.
        self._unheard_s *= 2
        return f"{self.address} acknowledged nothing for {now - self._waits_since:.0f} s although it talks"

    def _link_lost(self, reason: str) -> None:
        if self.ended or self._link is None:
            return
        self._away_until = self._link.last_arrival + self._away_s
        self._drop_link()
        log.info("the connection to %s is lost: %s", self._target, reason)
        self._next_beat(self._count)
        self._dialling = self._loop.create_task(self._dial_again(reason))
        self.on_away(reason)

    def _count(self) -> None:
        """While there is no link: time in which our own loop stood still does not count."""
        self._away_until += self._stood_still()
        self._next_beat(self._count)

    async def _dial_again(self, reason: str) -> None:
        pause = _REDIAL_PAUSE_MIN_S
        while not self.ended:
            try:
                async with asyncio.timeout_at(max(self._away_until, self._loop.time() + 0.1)):
                    await self._open()
                self._loop.call_soon(self._tell_back)
                return
            except TimeoutError:
                pass
            except _Over as over:
                self._give_up(over.how, over.reason)
                return
            except RainException as error:
                reason = str(error)
                if isinstance(error, NotRunning):
                    self.absence = "refused" if isinstance(error, NotListening) else "silent"
            except Exception as error:
                log.exception("the connection to %s could not be opened again", self._target)
                reason = f"{type(error).__name__}: {error}"
            limit_s = self._away_s if self.absence else self._unreachable_s
            if self._loop.time() >= self._away_until - self._away_s + limit_s:
                self._give_up("unreachable", f"{self._target} was away for {limit_s:g} s: {reason}")
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, self._deadlines.redial_pause_s)

    @guarded("_broke")
    def _tell_back(self) -> None:
        self.on_back()

    def close(self, reason: str = "") -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        super().close(reason)


class _Over(Exception):
    """The conversation cannot be opened or resumed, now or later."""

    def __init__(self, how: str, reason: str) -> None:
        super().__init__(reason)
        self.how, self.reason = how, reason


async def reach(address: str, credentials: Credentials, role: str, handshake_s: float) -> None:
    """See whether a server answers at an address and holds our key, and leave it at that.

    Raises
    ------
    RainException
        If it does not, with a text for newcomers.
    """
    link = await dial(address, credentials, role, handshake_s=handshake_s)
    link.unbind()
    link.abort()


async def converse(
    address: str,
    credentials: Credentials,
    hello: Hello,
    incoming: Any,
    on_messages: Callable[[Messages], None],
    on_gone: Callable[[str], None],
    *,
    on_away: Callable[[str], None] | None = None,
    on_back: Callable[[], None] | None = None,
    away_s: float | None = None,
    deadlines: Deadlines = DEADLINES,
) -> Conversation:
    """Open a conversation with the server at `address`.

    Parameters
    ----------
    address : str
        ``host:port``.
    credentials : Credentials
        With the key of ``hello.role``; gets the key of data connections from the server.
    hello : Hello
        An empty `conversation` is given a random name, an empty `python` is filled in.
    incoming : type
        The union of messages that the server may send.
    on_messages, on_gone, on_away, on_back : callable
        See `Conversation`. May be called before this returns.
    away_s : float or None
        Seconds after which a server that is away is given up, counted from the last sign of life; None: what
        `deadlines` say for the role.
    deadlines : Deadlines

    Raises
    ------
    RainException
        If it cannot be opened, with a text for newcomers.
    """
    hello = msgspec.structs.replace(
        hello,
        conversation=hello.conversation or secrets.token_hex(16),
        python=hello.python or PYTHON,
        process=hello.process or own_identity(),
    )
    patience_s = deadlines.server_return_s if away_s is None else away_s
    unreachable_s = deadlines.governor_lost_s if hello.role == "governor" else deadlines.server_away_s
    conversation = _Connected(
        address,
        credentials,
        hello,
        patience_s,
        min(patience_s, unreachable_s),
        incoming,
        on_messages,
        on_gone,
        on_away,
        on_back,
        deadlines=deadlines,
    )
    try:
        await conversation._open()
    except _Over as over:
        raise RainException(over.reason) from None
    return conversation
