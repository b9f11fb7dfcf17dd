"""Counted resources of one governor: who holds how much, and which devices.

Theory of operation
-------------------
A governor declares amounts by name (``{"cpus": 8, "gpus": 2, "mem": 64 << 30}``); a task asks for amounts by a
`ResourceRequest`; what it is given is an `Allocation`. Amounts are whole numbers of `UNIT` inside, so that a thousand
tenths of a cpu add up to exactly what they took. Indexed resources (`INDEXED`) are handed out as concrete devices:
whole ones for the whole part of a request and a share of one more device for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rain.common.errors import RainException

UNIT = 1e-6
"""Smallest amount that is told apart."""
_ONE = round(1 / UNIT)
INDEXED = frozenset({"gpus"})
"""Resources whose units are devices with numbers."""


class ResourceRequest:
    """What a task asks for; equal requests of one `Resources` are the same object.

    Attributes
    ----------
    amounts : dict of str to float
        As asked for, without zeros.
    units : dict of str to int
    """

    __slots__ = ("amounts", "units")

    def __init__(self, amounts: dict[str, float], units: dict[str, int]) -> None:
        self.amounts = amounts
        self.units = units

    def __repr__(self) -> str:
        return f"ResourceRequest({describe(self.amounts)})"


class Allocation:
    """What one holder has; given back once by `Resources.release`.

    Attributes
    ----------
    request : ResourceRequest
    devices : dict of str to list of int
        Device numbers per indexed resource, ascending.
    """

    __slots__ = ("devices", "request", "shares")

    def __init__(self, request: ResourceRequest, shares: dict[str, dict[int, int]]) -> None:
        self.request = request
        self.shares = shares
        self.devices = {name: sorted(share) for name, share in shares.items()}


class Resources:
    """The amounts of one governor.

    Parameters
    ----------
    total : mapping of str to float

    Examples
    --------
    >>> resources = Resources({"cpus": 2, "gpus": 2})
    >>> allocation = resources.acquire(resources.request({"cpus": 0.5, "gpus": 1}))
    >>> allocation.devices, resources.free()
    ({'gpus': [0]}, {'cpus': 1.5, 'gpus': 1.0})
    """

    __slots__ = ("_devices", "_free", "_requests", "_total", "allocations")

    def __init__(self, total: Mapping[str, float]) -> None:
        self._total = {name: _units(name, amount) for name, amount in total.items()}
        self._free = dict(self._total)
        self._devices = {name: _device_sizes(units) for name, units in self._total.items() if name in INDEXED}
        self._requests: dict[tuple[tuple[str, int], ...], ResourceRequest] = {}
        self.allocations = 0

    def request(self, amounts: Mapping[str, float]) -> ResourceRequest:
        """A request for these amounts.

        Raises
        ------
        RainException
            If an amount is negative or not a number.
        """
        units = {name: _units(name, amount) for name, amount in sorted(amounts.items()) if amount}
        key = tuple(units.items())
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = ResourceRequest({name: amounts[name] for name in units}, units)
        return request

    def total(self) -> dict[str, float]:
        """What there is."""
        return {name: units * UNIT for name, units in self._total.items()}

    def free(self) -> dict[str, float]:
        """What is not allocated."""
        return {name: units / _ONE for name, units in self._free.items()}

    def free_units(self) -> dict[str, int]:
        """What is not allocated, in units; a copy."""
        return dict(self._free)

    def beyond(self, request: ResourceRequest) -> list[str]:
        """Names of what the request asks for more of than there will ever be."""
        return [name for name, units in request.units.items() if units > self._total.get(name, 0)]

    def times(self, request: ResourceRequest) -> int:
        """How often the request can be met at once with all that there is; 0 if it asks for nothing."""
        return min([self._total.get(name, 0) // units for name, units in request.units.items()], default=0)

    def lacking(self, request: ResourceRequest) -> list[str]:
        """Names of what the request asks for more of than is free now."""
        lacking = [name for name, units in request.units.items() if units > self._free.get(name, 0)]
        for name, units in request.units.items():
            if name in self._devices and name not in lacking and self._pick(name, units) is None:
                lacking.append(name)
        return lacking

    def acquire(self, request: ResourceRequest, devices: Mapping[str, list[int]] | None = None) -> Allocation | None:
        """Take what the request asks for, or nothing and return None.

        Parameters
        ----------
        request : ResourceRequest
        devices : mapping of str to list of int, optional
            The devices that it has to be (an executor was started with them).
        """
        free = self._free
        for name, units in request.units.items():
            if units > free.get(name, 0):
                return None
        shares: dict[str, dict[int, int]] = {}
        for name in self._devices:
            units = request.units.get(name, 0)
            if units:
                share = self._pick(name, units, None if devices is None else devices.get(name, []))
                if share is None:
                    return None
                shares[name] = share
        for name, units in request.units.items():
            free[name] -= units
        for name, share in shares.items():
            sizes = self._devices[name]
            for device, units in share.items():
                sizes[device] -= units
        self.allocations += 1
        return Allocation(request, shares)

    def release(self, allocation: Allocation) -> None:
        """Give back what `acquire` gave."""
        for name, units in allocation.request.units.items():
            self._free[name] += units
        for name, share in allocation.shares.items():
            sizes = self._devices[name]
            for device, units in share.items():
                sizes[device] += units
        self.allocations -= 1

    def _pick(self, name: str, units: int, wanted: list[int] | None = None) -> dict[int, int] | None:
        """Devices for a request: whole ones first, then the fullest one that still has room for the rest."""
        sizes = self._devices[name]
        candidates = range(len(sizes)) if wanted is None else wanted
        whole, rest = divmod(units, _ONE)
        share: dict[int, int] = {}
        if rest:
            rooms = [(sizes[device], device) for device in candidates if rest <= sizes[device]]
            # A request with a whole part must leave enough whole devices for it.
            partly = [room for room in rooms if room[0] < _ONE] or rooms
            if not partly:
                return None
            share[min(partly)[1]] = rest
        for device in candidates:
            if whole and device not in share and sizes[device] == _ONE:
                share[device] = _ONE
                whole -= 1
        if whole or (wanted is not None and len(share) != len(wanted)):
            return None
        return share

    def check(self, allocations: list[Allocation]) -> None:
        """Assert that `allocations` are all that is held and that nothing is given twice."""
        assert len(allocations) == self.allocations
        held = dict.fromkeys(self._total, 0)
        for allocation in allocations:
            for name, units in allocation.request.units.items():
                held[name] += units
        for name, total in self._total.items():
            assert 0 <= held[name] <= total, f"{name}: {held[name]} of {total} units are held"
            assert held[name] + self._free[name] == total
        for name, sizes in self._devices.items():
            for device, (left, size) in enumerate(zip(sizes, _device_sizes(self._total[name]), strict=True)):
                share = sum([allocation.shares.get(name, {}).get(device, 0) for allocation in allocations])
                assert left >= 0
                assert left + share == size, f"{name} {device}: {share} held, {left} left, of {size}"


def describe(amounts: Mapping[str, float]) -> str:
    """Amounts in words: ``"cpus: 2, gpus: 1"``."""
    return ", ".join(f"{name}: {amount:g}" for name, amount in amounts.items()) or "nothing"


def _units(name: str, amount: float) -> int:
    if not isinstance(amount, int | float) or not math.isfinite(amount) or amount < 0:
        raise RainException(f"the amount of resource {name!r} must be a number from 0 up, not {amount!r}")
    return max(round(amount * _ONE), 1) if amount else 0


def _device_sizes(units: int) -> list[int]:
    whole, rest = divmod(units, _ONE)
    return [_ONE] * whole + ([rest] if rest else [])
