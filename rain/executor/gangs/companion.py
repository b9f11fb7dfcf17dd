"""The companion of a task on several governors: it holds this governor's part, and starts programs for the first one.

It runs as a task of its own until it is ended. Each connection is one program, in an own process group's session of the
executor; the end of the connection kills it with all that it started, and so does the end of the companion.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO

import msgspec

from rain.common.protocol.address import format_address, parse_address
from rain.common.protocol.messages import ExecutorSetup, ExecutorTask, NodeReady, TaskResult
from rain.common.spec import TaskError, TaskInfo
from rain.executor.gangs import wire
from rain.host.process_table import family
from rain.host.signals import signal_all
from rain.net.auth import Certificate

_PIECE_BYTES = 1 << 16


def run_companion(task: ExecutorTask, setup: ExecutorSetup, say: Callable[[NodeReady], None]) -> TaskResult:
    """Be the companion of a task until an interrupt comes."""
    info = TaskInfo(start_time=time.time(), governor=setup.governor_id, attempts=task.attempt)
    certificate, key = Certificate.generate(), secrets.token_bytes(wire.KEY_BYTES)
    options = task.spec.options
    env = os.environ | (options.env if options is not None else {})
    with socket.create_server((parse_address(setup.governor_id)[0], 0)) as listener:
        host, port = listener.getsockname()[:2]
        say(NodeReady(task.spec.id, task.attempt, format_address(host, port), certificate.fingerprint, key))
        try:
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=_serve, args=(plain, certificate, key, env), daemon=True).start()
        except KeyboardInterrupt:
            signal_all(family(os.getpid())[1:], signal.SIGKILL)
    return TaskResult(task.spec.id, task.attempt, info, [], TaskError("cancelled", "the companion was ended"))


def _serve(plain: socket.socket, certificate: Certificate, key: bytes, env: dict[str, str]) -> None:
    link = wire.accept(plain, certificate, key)
    if link is None:
        return
    with link:
        kind, data = wire.receive(link)
        if not kind:
            return
        try:
            launch = msgspec.msgpack.decode(data, type=wire.Launch)
            process = subprocess.Popen(
                launch.args,
                env=env | launch.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                restore_signals=True,
            )
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _tell(link, wire.ERR, f"the program cannot be started: {error}\n".encode())
            _tell(link, wire.EXIT, b"127")
            return
        _attend(link, process)


def _attend(link: ssl.SSLSocket, process: subprocess.Popen[bytes]) -> None:
    """Pass on what a program writes and how it ends; kill it when the first governor hangs up."""
    sending = threading.Lock()

    def forward(kind: bytes, stream: IO[bytes]) -> None:
        while piece := os.read(stream.fileno(), _PIECE_BYTES):
            with sending:
                _tell(link, kind, piece)

    def watch() -> None:
        while wire.receive(link)[0]:
            pass
        signal_all(family(process.pid), signal.SIGKILL)

    assert process.stdout is not None
    assert process.stderr is not None
    pumps = [
        threading.Thread(target=forward, args=(wire.OUT, process.stdout), daemon=True),
        threading.Thread(target=forward, args=(wire.ERR, process.stderr), daemon=True),
    ]
    for thread in (*pumps, threading.Thread(target=watch, daemon=True)):
        thread.start()
    status = process.wait()
    for pump in pumps:
        pump.join()
    with sending:
        _tell(link, wire.EXIT, str(status).encode())


def _tell(link: ssl.SSLSocket, kind: bytes, data: bytes) -> None:
    try:
        wire.send(link, kind, data)
    except OSError:
        pass  # it has hung up, which `watch` sees
