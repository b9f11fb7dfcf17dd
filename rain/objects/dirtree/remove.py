"""Removing files and directories, also those that their owner made unreadable."""

from __future__ import annotations

import os
import stat

from rain.objects.dirtree.walk import FOLDER_FLAGS, Descent


def remove_file(path: str) -> None:
    """Remove a file or link, if it is there and that is possible."""
    try:
        os.unlink(path)
    except OSError:
        pass


def remove_any(path: str) -> None:
    """Remove a file, link or directory; gone already is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        remove_tree(path)


def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, also what its owner made unreadable; gone already is fine.

    What is mounted in it stays, with the folders above: the mount's owner needs it. Of a link only itself goes.
    """
    if os.path.islink(path):
        remove_file(path)
        return
    try:
        top = _open_to_empty(path, None)
    except OSError:
        return
    try:
        _empty(top)
        os.rmdir(path)
    except OSError:
        pass


def _empty(top: int) -> None:
    """Remove what is in the folder `top`, and close it."""
    mount = _mount_of(top)
    descent = Descent(top)
    try:
        # Of each folder down to the present one: its name, and the names of the folders that are left in it.
        stack = [("", _remove_files(top))]
        while True:
            name, folders = stack[-1]
            if folders:
                inner_name = folders.pop()
                inner = _open_on_mount(inner_name, descent.folder, mount)
                if inner is not None:
                    descent.enter(inner)
                    stack.append((inner_name, _remove_files(inner)))
            elif len(stack) == 1:
                return
            else:
                stack.pop()
                descent.leave()
                try:
                    os.rmdir(name, dir_fd=descent.folder)
                except OSError:
                    pass  # then the folders above cannot be removed either
    finally:
        descent.close()


def _remove_files(folder: int) -> list[str]:
    """Remove all that is not a folder; gives the names of the folders."""
    folders = []
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []
    for name, is_dir in found:
        if is_dir:
            folders.append(name)
            continue
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            continue
    return folders


def _open_on_mount(name: str, parent: int, mount: tuple[int, bytes]) -> int | None:
    """A descriptor of a folder to be emptied; None if it cannot be opened or something else is mounted there."""
    try:
        folder = _open_to_empty(name, parent)
    except OSError:
        return None
    if _mount_of(folder) == mount:
        return folder
    os.close(folder)
    return None


def _open_to_empty(name: str, parent: int | None) -> int:
    """A descriptor of a folder from which its owner may remove entries."""
    try:
        folder = os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    except PermissionError:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            raise
        os.chmod(name, 0o700, dir_fd=parent)
        folder = os.open(name, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    mode = os.fstat(folder).st_mode
    if mode & 0o700 != 0o700:
        try:
            os.fchmod(folder, stat.S_IMODE(mode) | 0o700)
        except OSError:
            pass  # removing what is in it fails then, and it stays
    return folder


def _mount_of(folder: int) -> tuple[int, bytes]:
    """Tells mounts apart, also several of one file system."""
    try:
        with open(f"/proc/self/fdinfo/{folder}", "rb", buffering=0) as file:
            number = file.read(256).partition(b"mnt_id:")[2].partition(b"\n")[0]
    except OSError:
        number = b""
    return os.fstat(folder).st_dev, number
