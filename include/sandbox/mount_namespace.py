"""Starts a program for which some folders are below folders that its account may not enter.

``python -I mount_namespace.py --show FOLDER [--show FOLDER ...] -- COMMAND ...``, as root, with nothing but the
standard library. The command gets a mount namespace of its own, in which each folder that is closed to other accounts
(a ``/root`` with mode 0700) is covered by an empty one, in which nothing but the shown folders is. Outside nothing
changes, and the namespace goes with its last process.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import stat
import sys
from pathlib import Path

#: The exit code when the kernel does not allow a mount namespace, as in many containers.
NOT_ALLOWED = 125

_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


def closed_folder(path: Path) -> Path | None:
    """Return the uppermost folder above a path that other accounts may not enter; None if there is none.

    Args:
        path: an absolute path without symbolic links.
    """
    above = reversed(path.parents)
    return next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)


def show(folders: list[Path]) -> None:
    """Move this process into a mount namespace in which other accounts may reach the folders.

    Args:
        folders: absolute paths without symbolic links.

    Raises:
        OSError: the kernel does not allow it.
    """
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    # A folder inside another shown one comes with it.
    own = [folder for folder in folders if not any(other in folder.parents for other in folders)]
    hidden = [folder for folder in own if closed_folder(folder)]
    # Held open before the first one is covered: they are reached through their descriptors afterwards.
    held = {folder: os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in hidden}
    for cover in sorted({str(closed_folder(folder)) for folder in hidden}):
        _call("mount", b"none", os.fsencode(cover), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=0755,size=1m")
    for folder, descriptor in held.items():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), os.fsencode(folder), None, _MS_BIND | _MS_REC, None)
        os.close(descriptor)


def _call(function: str, *arguments: object) -> None:
    if getattr(_LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Show the folders and becomes the command."""
    parser = argparse.ArgumentParser(prog="mount_namespace.py", description="Run a command that sees some folders.")
    parser.add_argument("--show", type=Path, action="append", required=True, help="a folder that the command reaches")
    parser.add_argument("command", nargs="+", help="the command")
    options = parser.parse_args()
    directory, mask = os.open(".", os.O_PATH), os.umask(0o022)
    try:
        show(options.show)
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(NOT_ALLOWED)
    # Where the command was started may be covered now; by its descriptor it is there all the same.
    os.fchdir(directory)
    os.close(directory)
    os.umask(mask)
    os.execv(options.command[0], options.command)  # noqa: S606  that is its purpose


if __name__ == "__main__":
    main()
