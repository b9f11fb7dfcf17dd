"""What this process may do, where tests depend on it."""

from __future__ import annotations

import os
import subprocess


def _may(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


MAY_MOUNT = os.geteuid() == 0 and _may("unshare", "-m", "true") and _may("unshare", "-U", "true")
"""Whether root can be kept from writing: by mounts that map owners. In a chroot there are no user namespaces."""

LENT_IS_SAFE = os.geteuid() != 0 or MAY_MOUNT
"""Whether nothing that a task was lent can be written; otherwise that is only noticed afterwards."""
