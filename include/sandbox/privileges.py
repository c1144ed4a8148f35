"""What the demo's processes may do: nothing that an ordinary account could not, also where root starts them.

No process of the demo has a capability, nor can one get any: the bounding set is empty, and programs with the
set-user-ID bit give nothing. PostgreSQL, which refuses to run as root, runs as ``nobody``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from sandbox import mount_namespace

#: Python itself, without a link that might be where ``nobody`` may not look, and the folders that it needs.
INTERPRETER = Path(sys.executable).resolve()
PYTHON = (Path(sys.base_prefix).resolve(), INTERPRETER.parent)
_NONE_LEFT = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
_AS_NOBODY = ("--reuid=nobody", "--regid=nogroup", "--clear-groups")


def setpriv(*options: str) -> tuple[str, ...]:
    """Return the beginning of a command line that starts a program with other privileges.

    Args:
        *options: those of ``setpriv``.
    """
    return (shutil.which("setpriv") or "/usr/bin/setpriv", *options)


def without_capabilities() -> tuple[str, ...]:
    """Return what starts a program that has no capability and can get none; its account stays the caller's."""
    return setpriv("--no-new-privs", *(_NONE_LEFT if os.geteuid() == 0 else ()))


def without_root(shown: Iterable[Path], *, last_will: str = "") -> tuple[str, ...]:
    """Return what starts a program that refuses to run as root: where root calls, it runs as ``nobody``.

    Args:
        shown: the folders that it needs, without symbolic links; ``nobody`` reaches them wherever they are.
        last_will: the signal that it gets if who started it is killed without a chance to stop it; none if empty.
    """
    whole = (*without_capabilities(), *(("--pdeathsig", last_will) if last_will else ()))
    if os.geteuid() != 0:
        return whole
    whole = (*whole, *_AS_NOBODY)
    hidden = [folder for folder in shown if mount_namespace.closed_folder(folder)]
    if not hidden:
        return whole
    options = [part for folder in hidden for part in ("--show", str(folder))]
    return (sys.executable, "-I", mount_namespace.__file__, *options, "--", *whole)


def cannot_reach(shown: Iterable[Path]) -> str:
    """Return the sentence for a machine whose kernel does not let ``nobody`` reach the folders.

    Args:
        shown: the folders that a program needs.
    """
    closed = sorted({str(cover) for folder in shown if (cover := mount_namespace.closed_folder(folder))})
    return (
        "PostgreSQL does not run as root, and the account nobody, as which it runs then, may not enter "
        f"{', '.join(closed)}; a mount namespace, which would show it the way, is not allowed here: put the project "
        "and its Python into folders that everybody may enter, such as /srv, or run the command as an ordinary user."
    )
