"""Files that editors and file servers leave beside others: they are not products, come and go, and may be locked."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from srdp.domain.files.shared_folders import walk_shared

#: A file that NFS keeps because somebody has it open that was removed; it disappears by itself, and cannot be removed
#: before.
_NFS: Final = re.compile(r"\.nfs[0-9a-fA-F]{8,}", re.ASCII)
_LEFT_OVER: Final = re.compile(
    r"""\.nfs[0-9a-fA-F]{8,}
    | \..*\.sw[a-p]     # vim's swap files
    | .*~               # backups of most editors
    | \#.*\#            # Emacs: what was not saved
    | \.\#.*            # Emacs: its lock, a symbolic link to who edits
    | \.DS_Store | \._.*  # macOS: how a folder looks, and what is not in a file itself
    """,
    re.ASCII | re.VERBOSE | re.DOTALL,
)


def is_left_over(name: str) -> bool:
    """Whether a file, or a symbolic link, is none that anybody has made on purpose, by its name without its folder."""
    return _LEFT_OVER.fullmatch(name) is not None


def is_kept_by_nfs(name: str) -> bool:
    """Whether a file was removed, and is kept by the file server while a process has it open."""
    return _NFS.fullmatch(name) is not None


def left_over_files(root: Path) -> Iterator[Path]:
    """Yield the left-over files below a directory; a directory that cannot be read has none.

    Args:
        root: the directory, which is trusted.
    """
    for path, facts in walk_shared(root, root, unreadable=True):
        if is_left_over(path.name) and not stat.S_ISDIR(facts.st_mode):
            yield path
