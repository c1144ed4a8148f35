"""What is shown of a directory, and what a file is called to a browser."""

from __future__ import annotations

import html
import mimetypes
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from srdp.domain.common.visible import visible

# Only what this module says counts, not what the machine's own tables happen to hold.
_TYPES = mimetypes.MimeTypes()
_TEXTS = frozenset({".txt", ".log", ".py", ".csv", ".md"})
_OTHERS = {
    ".xml": "application/xml",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".fits": "application/fits",
    ".tgz": "application/gzip",
    ".gz": "application/gzip",
    ".tar": "application/x-tar",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
}
_PLAIN = "text/plain; charset=utf-8"
_UNKNOWN = "application/octet-stream"


def content_type(name: str, beginning: bytes) -> str:
    """Return the content type of a file.

    The header tells browsers not to guess, so it must be right: a log is text, also when its name does not say so.

    Args:
        name: the file's name.
        beginning: its first bytes.
    """
    suffix = Path(name.lower()).suffix
    if suffix in _TEXTS:
        return _PLAIN
    if suffix in _OTHERS:
        return _OTHERS[suffix]
    guessed, encoding = _TYPES.guess_type(f"file{suffix}", strict=True)
    if guessed is None or encoding is not None:
        return _PLAIN if _is_text(beginning) else _UNKNOWN
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed


def _is_text(beginning: bytes) -> bool:
    if b"\0" in beginning:
        return False
    # The last character may have been cut in two.
    return "\ufffd" not in beginning.decode("utf-8", "replace")[:-4]


def directory_page(title: str, directory: Path) -> bytes:
    """Return the listing of a directory as a page.

    Args:
        title: its address as a person reads it.
        directory: the directory.
    """
    with os.scandir(directory) as entries:
        # A link is shown as it is: where it leads may be missing, outside, or itself.
        ordered = sorted(entries, key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name))
        rows = [_row(entry) for entry in ordered]
    return _page(title, ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>', *rows])


def runs_page(run_ids: Iterable[str]) -> bytes:
    """Return the listing of the pipeline runs as a page."""
    rows = [f'<tr><td><a href="{run_id}/">{run_id}/</a></td><td></td><td></td></tr>' for run_id in run_ids]
    return _page("Pipeline runs", rows)


def _row(entry: os.DirEntry[str]) -> str:
    slash = "/" if entry.is_dir(follow_symlinks=False) else ""
    address = quote(entry.name, safe="", errors="surrogateescape") + slash
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # deleted since the directory was read
        return ""
    changed = datetime.fromtimestamp(state.st_mtime, UTC)
    size = "" if slash else f"{state.st_size:,}"
    # "./" keeps a name with a colon from being taken for an address of its own.
    return (
        f'<tr><td><a href="./{address}">{_shown(entry.name)}{slash}</a></td>'
        f'<td class="size">{size}</td><td>{changed:%Y-%m-%d %H:%M:%S} UTC</td></tr>'
    )


def _shown(name: str) -> str:
    return html.escape(visible(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")))


def _page(title: str, rows: Iterable[str]) -> bytes:
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{_shown(title)}</title>",
        "<style>body{font-family:sans-serif;margin:2em}td{padding:.1em 1em .1em 0}.size{text-align:right}</style>",
        f"</head><body><h1>{_shown(title)}</h1><table>",
        "<tr><th>Name</th><th>Bytes</th><th>Changed</th></tr>",
        *rows,
        "</table></body></html>",
    ]
    return "\n".join(lines).encode()
