"""The companion of a task on several governors: it holds this governor's part, and starts programs for the first one.

It runs as a task of its own until it is ended. Each connection is one program, in an own process group's session of the
executor; the end of the connection kills it with all that it started, and so does the end of the companion.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable

import msgspec

from rain.common.errors import RainException
from rain.common.protocol.address import format_address, parse_address
from rain.common.protocol.messages import ExecutorSetup, ExecutorTask, NodeReady, TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.executor.gangs import wire
from rain.executor.gangs.started import Started
from rain.host.process_table import family
from rain.host.signals import signal_all
from rain.net.auth import Certificate


def run_companion(task: ExecutorTask, setup: ExecutorSetup, say: Callable[[NodeReady], None]) -> TaskResult:
    """Be the companion of a task until an interrupt comes.

    Raises
    ------
    RainException
        If it cannot listen.
    """
    info = TaskInfo(start_time=time.time(), governor=setup.governor_id, attempts=task.attempt)
    certificate, key = Certificate.generate(), secrets.token_bytes(wire.KEY_BYTES)
    options = task.spec.options
    env = os.environ | (options.env if options is not None else {})
    where = parse_address(setup.governor_id)[0]
    try:
        with socket.create_server((where, 0)) as listener:
            host, port = listener.getsockname()[:2]
            say(NodeReady(task.spec.id, task.attempt, format_address(host, port), certificate.fingerprint, key))
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=_serve, args=(plain, certificate, key, env), daemon=True).start()
    except KeyboardInterrupt:
        signal_all(family(os.getpid())[1:], signal.SIGKILL)
    except OSError as error:
        signal_all(family(os.getpid())[1:], signal.SIGKILL)
        raise RainException(f"the companion of a task on several governors cannot listen at {where}: {error}") from None
    return TaskResult(task.spec.id, task.attempt, info, [], TaskError("cancelled", "the companion was ended"))


def _serve(plain: socket.socket, certificate: Certificate, key: bytes, env: dict[str, str]) -> None:
    link = wire.accept(plain, certificate, key)
    if link is None:
        return
    with link:
        kind, data = wire.receive(link)
        if not kind:
            return
        sending = threading.Lock()

        def write(number: int, data: bytes) -> None:
            with sending:
                _tell(link, wire.OUT if number == 1 else wire.ERR, data)

        try:
            launch = msgspec.msgpack.decode(data, type=wire.Launch)
            program = Started(launch.args, env | launch.env, write)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            write(2, f"the program cannot be started: {error}\n".encode())
            _tell(link, wire.EXIT, b"127")
            return
        threading.Thread(target=_watch, args=(link, program), daemon=True).start()
        status = program.wait()
        with sending:
            _tell(link, wire.EXIT, str(status).encode())


def _watch(link: ssl.SSLSocket, program: Started) -> None:
    """Kill a program when the first governor hangs up."""
    hung_up = select.poll()  # nothing is read: others write meanwhile, and TLS is for one thread at a time
    try:
        hung_up.register(link, select.POLLIN)
    except (OSError, ValueError):  # the program has ended already
        return
    hung_up.poll()
    program.kill()


def _tell(link: ssl.SSLSocket, kind: bytes, data: bytes) -> None:
    try:
        wire.send(link, kind, data)
    except OSError:
        pass  # it has hung up, which `watch` sees
