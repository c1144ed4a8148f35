"""The weblog of a run: where it is, the analyst's notes in it, and its tar among the products."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from srdp.domain.casa.web_addresses import newest_weblog
from srdp.domain.common.errors import Refused
from srdp.domain.files.packing import Member, PackedFile, pack, tree
from srdp.domain.files.shared_files import ANALYST_FILE, read_shared
from srdp.domain.files.storage import local_files
from srdp.domain.files.trusted_root import open_folder
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.runs.pipeline_run import RunDirectory

#: The file that the weblog's front page shows.
QA_NOTES = "qa_notes.html"
#: What the VLA pipeline calls the weblog's tar.
WEBLOG_TAR = "weblog.tgz"


def find_weblog(directory: RunDirectory) -> Path:
    """Return the newest weblog of a run, ``working/pipeline-<time>/html``.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        Refused: the pipeline wrote none; a symbolic link to one is none.
        UnsafeFile: ``working/`` is a symbolic link.
        LocalFilesError: it cannot be looked into.
    """
    newest = newest_weblog(directory)
    if newest is None:
        raise Refused(
            f"{directory.working} holds no weblog (pipeline-<time>/html, neither part a symbolic link): "
            "there is nothing to add notes to."
        )
    return directory.root / newest


def check_overwritten(directory: RunDirectory, known: Mapping[str, Collection[bytes]]) -> None:
    """Check that the files of a verdict may be written into the newest weblog: no other work is overwritten.

    Args:
        directory: the run's directory, at its present place.
        known: by the files' names, what may be there: what a former verdict wrote, and the report that is given now.
            Blanks and ends of lines make no difference.

    Raises:
        Refused: somebody else wrote one; or there is no weblog.
        UnsafeFile: something else than a file is there.
        LocalFilesError: one cannot be read.
    """
    weblog = find_weblog(directory)
    for name, contents in known.items():
        path = weblog / name
        words: list[bytes] = []
        with suppress(FileNotFoundError):
            words = read_shared(directory.root, path, ANALYST_FILE).split()
        if words and words not in [content.split() for content in contents]:
            raise Refused(
                f"{directory.pipeline_run_id} is not ingested: {path} was written by somebody, and the ingest would "
                "overwrite it; give its path as the QA report in the form, or move it away."
            )


def write_qa_notes(directory: RunDirectory, notes: str) -> bool:
    """Write the analyst's notes into the newest weblog; the weblog's tar must then be made again.

    Args:
        directory: the run's directory, at its present place.
        notes: the page, from :func:`~srdp.domain.qa.notes.render_html`.

    Returns:
        Whether they had to be written: they are not, where they stand there already.

    Raises:
        Refused: there is no weblog.
        LocalFilesError: the system refused.
    """
    return write_whole_file(directory.root, find_weblog(directory) / QA_NOTES, notes.encode())


def write_qa_report(directory: RunDirectory, name: str, content: bytes | None) -> None:
    """Put the analyst's report into the newest weblog as a file; without one, takes that of a former verdict away.

    Args:
        directory: the run's directory, at its present place.
        name: what it is called there.
        content: its bytes.

    Raises:
        Refused: there is no weblog.
        LocalFilesError: the system refused.
    """
    path = find_weblog(directory) / name
    if content is not None:
        write_whole_file(directory.root, path, content)
        return
    with local_files(path), suppress(FileNotFoundError), open_folder(directory.root, path.parent) as weblog:
        os.unlink(name, dir_fd=weblog)


def weblog_members(directory: RunDirectory) -> Iterator[Member]:
    """Return what the weblog's tar holds.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        Refused: there is no weblog.
        LocalFilesError: a directory cannot be read.
    """
    weblog = find_weblog(directory)
    return tree(directory.root, weblog, f"{weblog.parent.name}/{weblog.name}")


def pack_weblog(directory: RunDirectory, *, name: str = WEBLOG_TAR, spare_bytes: int = 0) -> PackedFile:
    """Make the weblog's tar again, as the pipeline lays it out: ``pipeline-<time>/html`` and what is in it.

    Repeated, it makes the same bytes; killed, it leaves the former tar or the new one.

    Args:
        directory: the run's directory, at its present place.
        name: what the pipeline calls the tar in ``products/``; the manifest's ``weblog`` says so.
        spare_bytes: space that must stay free.

    Raises:
        Refused: there is no weblog, or it holds a link that leads out of it or something that is not a file.
        LocalFilesError: a file changed meanwhile, there is not enough space, or the system refused.
    """
    if "/" in name or name in {"", ".", ".."}:
        raise Refused(f"{name!a} is not the name of a file in products/.")
    return pack(
        weblog_members(directory), directory.root, directory.products / name, compress=True, spare_bytes=spare_bytes
    )
