"""What ssh is told."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.deploy.hosts.addresses import addresses_for, own_address_towards
from rain.deploy.hosts.ssh import Ssh, Target, governor_line, parse_target
from rain.deploy.hosts.supplier import hosts_of


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("n1", Target("", "n1", 0)),
        ("me@n1", Target("me", "n1", 0)),
        ("n1:2222", Target("", "n1", 2222)),
        ("me@[fe80::1%eth0]:22", Target("me", "fe80::1%eth0", 22)),
        ("::1", Target("", "::1", 0)),
        ("10.0.0.7", Target("", "10.0.0.7", 0)),
        ("12345", Target("", "12345", 0)),
    ],
)
def test_hosts(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "me@-x", "a b", "n1;true", "n1:99999", 7, None])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(RainException, match=r"host|address"):
        parse_target(text)


def test_options_of_the_user_come_before_rains_own() -> None:
    ssh = Ssh(2200, "/k", "gate", ("-o", "BatchMode=no"), 3.0)
    words = ssh.command(Target("me", "n1", 0), "true")
    assert words[-4:] == ["2200", "--", "me@n1", "true"]
    assert words.index("BatchMode=no") < words.index("BatchMode=yes")
    for word in ("ConnectTimeout=3", "IdentitiesOnly=yes", "/k", "gate"):
        assert word in words


def test_lines() -> None:
    line = governor_line("0f", ["governor", "h:1 2"], prefix=["nice", "-n", "3"], init="module load x")
    assert line == "module load x && exec nice -n 3 rain hold 0f governor 'h:1 2'"
    assert governor_line("0f", [], python="/p/python").startswith("exec /p/python -P -m rain hold 0f")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hosts": []}, "needs hosts"),
        ({"hosts": "n1"}, "sequence"),
        ({"hosts": ["n1"], "arguments": "-v"}, "sequence of words"),
        ({"hosts": ["n1"], "port": -1}, "port is a number"),
        ({"hosts": ["n1"], "port": True}, "port is a number"),
        ({"hosts": ["n1"], "connect_timeout": 0}, "connect_timeout"),
        ({"hosts": ["n1"], "key": "/nowhere/key"}, "there is no key"),
        ({"hosts": ["n1"], "cpus": "many"}, "cpus must be"),
    ],
)
def test_options_that_have_no_meaning(options: dict[str, object], words: str) -> None:
    with pytest.raises(RainException, match=words):
        hosts_of(**options)  # type: ignore[arg-type]


def test_addresses() -> None:
    assert addresses_for(Ssh(), Target("", "n1", 0), "10.1.2.3:7210") == ["10.1.2.3:7210"]
    everywhere = addresses_for(Ssh(), Target("", "no.such.host.invalid", 0), "0.0.0.0:7210")
    assert all(address.endswith(":7210") for address in everywhere)
    assert everywhere
    assert own_address_towards(Ssh(), Target("", "127.0.0.1", 0)) == ""
    assert own_address_towards(Ssh(jump="gate"), Target("", "192.0.2.1", 0)) == ""
