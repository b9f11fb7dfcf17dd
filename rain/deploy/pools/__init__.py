"""Pools: places on engines, in each of which a governor runs."""
