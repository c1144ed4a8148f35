"""Files that only their owner reads."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner reads; it appears whole or not at all.

    Args:
        path: the file.
        content: its text.
        owner: the numbers of the account and the group that it is given to; the caller's if None.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    # Never through a link that is there: the folder may be another account's.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        if owner is not None:
            os.fchown(descriptor, *owner)
    unfinished.replace(path)
