"""The addresses by which other hosts may reach this one."""

from __future__ import annotations

from pathlib import Path

from rain.host.network.addresses import own_addresses

FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.99.0.0/24 2 0 2
        |-- 10.99.0.1
           /32 host LOCAL
        |-- 10.99.0.255
           /32 link BROADCAST
Local:
     |-- 10.99.0.1
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 169.254.3.4
        /32 host LOCAL
     |-- 192.168.7.2
        /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000021122fffe334455 02 40 20 80     eth0
20010db8000000000000000000000005 02 40 00 80     eth0
"""


def test_all_interfaces_but_those_that_nobody_else_reaches(tmp_path: Path) -> None:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "fib_trie").write_text(FIB)
    assert own_addresses(str(tmp_path)) == ["10.99.0.1", "192.168.7.2"]
    (net / "if_inet6").write_text(IF_INET6)
    assert own_addresses(str(tmp_path)) == ["10.99.0.1", "192.168.7.2", "2001:db8::5"]


def test_a_host_that_does_not_tell(tmp_path: Path) -> None:
    assert own_addresses(str(tmp_path)) == []
