"""The addresses of this host's interfaces, as the kernel lists them in /proc."""

from __future__ import annotations

import ipaddress
import re

from rain.host.cgroup import read

ADDRESSES_MAX = 8
_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def own_addresses(root: str = "/") -> list[str]:
    """Those by which other hosts may reach this one, at most `ADDRESSES_MAX`: IPv4 first; none of loopback, none that
    hold on one link only.

    Parameters
    ----------
    root : str
        A folder that stands for ``/``.
    """
    found = _LOCAL.findall(read(f"{root}/proc/net/fib_trie"))
    for line in read(f"{root}/proc/net/if_inet6").splitlines():
        digits = line.split()[0]
        found.append(str(ipaddress.IPv6Address(int(digits, 16))))
    usable = [address for address in dict.fromkeys(found) if is_usable(ipaddress.ip_address(address))]
    return usable[:ADDRESSES_MAX]


def is_usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)
