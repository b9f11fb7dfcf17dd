"""Addresses as users write them: ``PORT``, ``HOST`` or ``HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re

from rain.common.errors import RainException

LOOPBACK = "127.0.0.1"
SERVER_PORT = 7210
HTTP_PORT = 7222


def parse_address(text: str, default_host: str = LOOPBACK, default_port: int = SERVER_PORT) -> tuple[str, int]:
    """Host and port of `text`; what it leaves out comes from the defaults.

    Raises
    ------
    RainException
        If `text` is no address.

    Examples
    --------
    >>> parse_address("7211"), parse_address("node3"), parse_address("[::1]:80"), parse_address("")
    (('127.0.0.1', 7211), ('node3', 7210), ('::1', 80), ('127.0.0.1', 7210))
    """
    text = text.strip()
    host, port_text = default_host, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise RainException(f"{text!r} is not an address: write [HOST]:PORT")
        port_text = rest[1:]
    elif text.count(":") > 1:
        host = text  # a bare IPv6 address
    elif ":" in text:
        named, _, port_text = text.partition(":")
        host = named or default_host
        if not port_text:
            raise RainException(f"{text!r} is not an address: the port after the colon is missing")
    elif text.isascii() and text.isdigit():
        port_text = text
    elif text:
        host = text
    if any(ch.isspace() or ch in "/@" for ch in host) or not _is_host(host):
        raise RainException(f"{text!r} is not an address: write PORT, HOST or HOST:PORT")
    if not port_text:
        return host, default_port
    if not re.fullmatch("[0-9]{1,5}", port_text) or int(port_text) > 65535:
        raise RainException(f"{text!r} is not an address: {port_text!r} is not a port (0 to 65535)")
    return host, int(port_text)


def _is_host(text: str) -> bool:
    """Whether a name can be looked up: its parts are neither too long nor of characters that names cannot have."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def format_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether `host` (numeric, or ``localhost``) can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_wildcard(host: str) -> bool:
    """Whether `host` means all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def http_url(http: str, host: str = LOOPBACK) -> str:
    """The URL of the HTTP listener bound to `http` (``host:port``); `host` is how its machine is reached.

    Examples
    --------
    >>> http_url("127.0.0.1:7222"), http_url("0.0.0.0:7222", "node3")
    ('http://127.0.0.1:7222/', 'https://node3:7222/')
    """
    bound, port = parse_address(http)
    scheme = "http" if is_loopback(bound) else "https"
    return f"{scheme}://{format_address(host if is_wildcard(bound) else bound, port)}/"
