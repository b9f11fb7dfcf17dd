"""Tasks that governors run themselves, and programs: ``from rain import tasks``."""

from rain.client.builtin_tasks import Concat, Execute, Load, LoadDir, MakeDirectory, Sleep, SliceDirectory, Store

__all__ = ["Concat", "Execute", "Load", "LoadDir", "MakeDirectory", "Sleep", "SliceDirectory", "Store"]
