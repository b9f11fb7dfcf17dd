"""The governor's decisions, pure: `rain.governor.core.core.GovernorCore`."""

from rain.governor.core.core import GovernorCore

__all__ = ["GovernorCore"]
