"""Connection files, by which clients and governors of one user find a server and its keys.

Theory of operation
-------------------
A server writes ``PORT.json`` (with its host in front, if that is neither loopback nor a wildcard) into the user's
runtime folder. The folder is 0700, the file is created exclusively with 0600, complete before it gets its name, and a
reader refuses both if another user owns them or may read them. A server that finds a file of an earlier one in its way
replaces it; one that has to use a certain file and finds it there takes over the keys in it, so that after a
restart by the guardian its clients and governors can come back.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec

from rain import __version__
from rain.common.errors import RainException, of_system
from rain.common.limits import KIB
from rain.common.protocol.address import format_address, is_loopback, is_wildcard, parse_address
from rain.host.process_table import start_time
from rain.net.auth import KEY_BYTES, Certificate, Credentials
from rain.processes.private_folders import check_private, runtime_dir, sync

_THIS_HOST = frozenset({"localhost", "127.0.0.1", "::1"})
_FILE_BYTES_MAX = 64 * KIB
KEYS = "connection.json"
"""In the folder of a journal that survives a loss of power: a copy of the server's connection file, which may not."""


class ConnectionFile(msgspec.Struct, kw_only=True):
    """The content of a connection file.

    Attributes
    ----------
    version : str
        Version of Rain.
    address, http : str
        ``host:port`` of the server's listeners, as they were bound.
    pid : int
        The server's process, 0 if not yet known.
    guardian : int
        The guardian's process if `rain start` started the server, else 0.
    guardian_start : str
        When that process started, as the kernel counts; its number alone may be another's by now.
    keys : dict of str to str
        By role, base64.
    certificate, certificate_key : str
        In PEM; empty if the server listens on loopback only.
    fingerprint : str
        Fingerprint of the certificate, in hexadecimal digits.
    logdir : str
    folder : str
        The folder in which `rain start` was called.
    journal : str
        The folder of the server's journal if `rain start` started the server; empty: there is none.
    """

    version: str
    address: str
    keys: dict[str, str]
    http: str = ""
    pid: int = 0
    guardian: int = 0
    guardian_start: str = ""
    certificate: str = ""
    certificate_key: str = ""
    fingerprint: str = ""
    logdir: str = ""
    folder: str = ""
    journal: str = ""

    def __repr__(self) -> str:
        return f"<ConnectionFile of {self.address}>"

    @property
    def credentials(self) -> Credentials:
        """The keys in the file, and the certificate of the server.

        Raises
        ------
        ValueError
            If the file does not hold keys.
        """
        certificate = None
        if self.certificate:
            certificate = Certificate(
                self.certificate.encode(), self.certificate_key.encode(), bytes.fromhex(self.fingerprint)
            )
        keys = {role: base64.b64decode(key, validate=True) for role, key in self.keys.items()}
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError(f"a key is not {KEY_BYTES} bytes long")
        return Credentials(keys, bytes.fromhex(self.fingerprint), certificate)

    def reachable(self) -> str:
        """``host:port`` at which the server can be reached from this machine."""
        host, port = parse_address(self.address)
        if is_wildcard(host):
            host = "::1" if ":" in host else "127.0.0.1"
        return format_address(host, port)


def describe_server(address: str, credentials: Credentials, **values: Any) -> ConnectionFile:
    """The connection file of a server listening at `address` with `credentials`; `values` are further attributes."""
    certificate = credentials.certificate
    if certificate is not None:
        values |= {
            "certificate": certificate.certificate.decode(),
            "certificate_key": certificate.key.decode(),
            "fingerprint": certificate.fingerprint.hex(),
        }
    keys = {role: base64.b64encode(key).decode() for role, key in credentials.keys.items()}
    return ConnectionFile(version=__version__, address=address, keys=keys, **values)


def default_path(address: str) -> Path:
    """The path of the connection file of a server bound to `address`."""
    host, port = parse_address(address)
    name = f"{port}.json" if is_loopback(host) or is_wildcard(host) else f"{host.replace(':', '_')}-{port}.json"
    return runtime_dir() / name


def write(file: ConnectionFile, path: str | os.PathLike[str] | None = None) -> Path:
    """Write `file` to `path` (None: `default_path`); one that lies there is replaced in one step.

    Raises
    ------
    ResourceError
        If it cannot be written.
    """
    target = Path(path) if path is not None else default_path(file.address)
    try:
        _make_folder(target)
        try:
            write_private(target, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        except FileNotFoundError:  # the `tidy` of another process came between
            _make_folder(target)
            write_private(target, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
    except OSError as error:
        raise of_system(f"cannot write the connection file {target}: {error.strerror}", error) from None
    return target


def write_copy(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a connection file to `target`, a file that no other user can read, and bring it to the disk.

    Raises
    ------
    ResourceError
        If it cannot be written.
    """
    part = f"{os.fspath(target)}.part"
    try:
        sync(write(read(path), part))
        os.replace(part, target)
        sync(os.path.dirname(target))
    except OSError as error:
        raise of_system(f"cannot write a copy of the connection file, {target}: {error.strerror}", error) from None


def write_private(path: Path, data: bytes) -> None:
    """Write a file that no other user can read at any time; a file at that path is replaced in one step.

    Raises
    ------
    OSError
        If it cannot be written; a file at that path stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = _new_private(partial)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _make_folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _new_private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def read(path: str | os.PathLike[str]) -> ConnectionFile:
    """The connection file at `path`.

    Raises
    ------
    RainException
        If there is none, it belongs to or is open to another user, or it is not one.
    """
    name = os.fspath(path)
    try:
        check_private(name, "connection file", 0o600)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)  # of what was opened: the name may lead elsewhere by now
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise RainException(f"the connection file {name} changed while it was read")
            data = file.read(_FILE_BYTES_MAX + 1)
        found = msgspec.json.decode(data, type=ConnectionFile)
        parse_address(found.address)
        _ = found.credentials
    except FileNotFoundError:
        raise RainException(f"there is no connection file {name}") from None
    except OSError as error:
        raise RainException(f"cannot read the connection file {name}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise RainException(f"{name} is not a connection file of this version of Rain: {error}") from None
    return found


def find(address: str) -> ConnectionFile:
    """The connection file of the server at `address` (``host:port``), if that is this user's and on this machine.

    A server bound to loopback or to all addresses is found under any address of this machine.

    Raises
    ------
    RainException
        If there is none, with what to do instead.
    """
    return find_with_path(address)[1]


def find_with_path(address: str) -> tuple[Path, ConnectionFile]:
    """As `find`, with the file's path."""
    host, port = parse_address(address)
    folder = runtime_dir()
    exact = folder / f"{host.replace(':', '_')}-{port}.json"
    names = [exact, folder / f"{port}.json"] if is_own_address(host) else [exact]
    for path in names:
        if os.path.lexists(path):
            return path, read(path)
    raise RainException(
        f"no server of this user is known at {address} (no connection file in {folder}): start one with `rain start`, "
        "or give the token of a server elsewhere (RAIN_TOKEN, or --token-file)"
    )


def listening_at(address: str) -> str:
    """Where the server listens that `address` means: this host means a server of this user's too that listens on
    another address of it only, if it is the only one at that port.

    Parameters
    ----------
    address : str
        ``host:port``.
    """
    host, port = parse_address(address)
    if host not in _THIS_HOST:
        return address
    files = [file for _, file in find_all() if parse_address(file.address)[1] == port]
    hosts = [parse_address(file.address)[0] for file in files]
    if any(host in _THIS_HOST or is_wildcard(host) for host in hosts):
        return address
    own = [file for file, host in zip(files, hosts, strict=True) if is_own_address(host)]
    return own[0].reachable() if len(own) == 1 else address


def find_all() -> list[tuple[Path, ConnectionFile]]:
    """All readable connection files of this user."""
    found = []
    for path in sorted(runtime_dir().glob("*.json")):
        try:
            found.append((path, read(path)))
        except RainException:
            continue
    return found


def is_own_address(host: str) -> bool:
    """Whether `host` is this machine."""
    if is_loopback(host) or is_wildcard(host) or host in (socket.gethostname(), socket.getfqdn()):
        return True
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except socket.gaierror:
        return False
    for family, kind, protocol, _, address in found:
        if is_loopback(str(address[0])):
            return True
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.bind((address[0], 0))  # only an address of this machine can be bound
            return True
    return False


class Published:
    """The connection file of a running server, written when this is made.

    Parameters
    ----------
    address, http : str
        Where the server listens.
    credentials : Credentials
    path : path-like or None
        None: where the server's users look for it.
    logdir : str

    Raises
    ------
    ResourceError
        If it cannot be written.
    """

    def __init__(
        self,
        address: str,
        http: str,
        credentials: Credentials,
        path: str | os.PathLike[str] | None = None,
        logdir: str = "",
    ) -> None:
        self._pid = os.getpid()
        file = describe_server(address, credentials, http=http, pid=self._pid, logdir=logdir)
        with contextlib.suppress(RainException):
            before = read(path) if path else file
            file.guardian, file.guardian_start = before.guardian, before.guardian_start
            file.folder, file.journal = before.folder, before.journal
        self.path = write(file, path or None)

    def follow_guardian(self) -> None:
        """Name the process that guards this server, if that is another one by now."""
        with contextlib.suppress(RainException, OSError):
            found = read(self.path)
            parent = os.getppid()
            if found.pid == self._pid and found.guardian not in (0, parent):
                found.guardian, found.guardian_start = parent, start_time(parent)
                write(found, self.path)

    def remove(self) -> None:
        """Remove the file, if it is still this server's and no guardian will start the server again."""
        with contextlib.suppress(RainException, OSError):
            found = read(self.path)
            if found.pid == self._pid and not found.guardian:
                os.unlink(self.path)
