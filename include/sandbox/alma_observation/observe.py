"""Observes with ALMA: brings one more MOUS, its ASDMs and its calibration, into the embedded observatory's archive.

``python -m sandbox.alma_observation.observe --archive URL --ngas URL --made DIR`` stores what ``make_mous.py`` made,
file by file, in NGAS under names of its own, and then records it in the archive in one transaction: a MOUS whose
ingestion was killed is not visible at all.

Every MOUS "observed" from one directory holds the same simulated data. Made up are its UID and those of its ASDMs;
the calibration's products are given the names that go with them. The ASDMs' files are handed over byte for byte.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.alma_observation import facts
from sandbox.alma_observation.products import MadeMous, read_made
from sandbox.archive import DATABASE_VARIABLE, NGAS_SERVER, database_url, execute, set_ngas_address
from sandbox.observe import (
    StoredFile,
    archive_content,
    archive_file,
    publishing,
    read_observation,
    sdm_files,
    server_address,
)
from srdp.domain.common.errors import InvalidInput, SrdpError, quoted
from srdp.domain.runs.identifiers import AsdmUid, MousUid, asdm_uid, disk_name, mous_uid, project_code

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import DictRow


@dataclass(frozen=True)
class ObservedAsdm:
    """An ASDM whose files NGAS has.

    Attributes:
        uid: its UID, which is its locator too.
        files: its files.
    """

    uid: AsdmUid
    files: tuple[StoredFile, ...]


@dataclass(frozen=True)
class ObservedMous:
    """What is new: a MOUS whose files NGAS has, and which is not yet in the archive's database.

    Attributes:
        uid: its UID, for example ``uid://A001/X1288/X3f``.
        asdms: its ASDMs.
        calibration: the locator of its calibration.
        project: the project code.
        telescope: the telescope's name, as its first ASDM gives it.
        casa_version: the CASA that made the calibration, as the manifest gives it.
        pipeline_version: the pipeline, likewise.
        products: the products of the calibration.
    """

    uid: MousUid
    asdms: tuple[ObservedAsdm, ...]
    calibration: str
    project: str
    telescope: str
    casa_version: str | None
    pipeline_version: str | None
    products: tuple[StoredFile, ...]


def store(ngas: str, made: MadeMous, *, project: str, uid: str | None) -> ObservedMous:
    """Store a MOUS's files in NGAS; nobody sees them until :func:`publish`.

    Args:
        ngas: the server, ``http://[user:password@]host:port``.
        made: the MOUS as it was made.
        project: the project code.
        uid: its UID; a new one if it is not given.

    Raises:
        InvalidInput: the UID or the project code is none, or an ASDM is no complete one.
        ServiceUnavailable: the server could not be made to take a file.
        SrdpError: the server refused one.
    """
    mous = mous_uid(_new_uid("A001") if uid is None else uid)
    project = project_code(project)
    telescope, *_ = [read_observation(asdm).telescope for asdm in made.asdms]
    asdms = tuple(_store_asdm(ngas, asdm) for asdm in made.asdms)
    key = uuid.uuid4()
    products = made.products_named(mous=disk_name(mous), asdms=[disk_name(asdm.uid) for asdm in asdms])
    return ObservedMous(
        uid=mous,
        asdms=asdms,
        calibration=f"uid://alma/calibration/{key}",
        project=project,
        telescope=telescope,
        casa_version=made.manifest.casa_version,
        pipeline_version=made.manifest.pipeline_version,
        products=tuple(
            archive_content(ngas, content, f"uid___alma_calibration_{key}.{number}", name)
            for number, (name, content) in enumerate(products.items(), start=1)
        ),
    )


def publish(cursor: psycopg.Cursor[DictRow], mous: ObservedMous, *, ngas_address: str) -> None:
    """Tells the archive about a MOUS; it is visible when the caller's transaction is committed.

    Args:
        cursor: in a transaction on the archive's database.
        mous: what NGAS has stored.
        ngas_address: ``host:port`` of the server that has it.
    """
    execute(cursor, "project", {"project_code": mous.project})
    set_ngas_address(cursor, ngas_address)
    execute(
        cursor,
        "mous",
        {
            "mous_uid": mous.uid,
            "disk_name": disk_name(mous.uid),
            "project_code": mous.project,
            "telescope": mous.telescope,
            "frequency_ghz": facts.FREQUENCY_GHZ,
            "resolution_arcsec": facts.RESOLUTION_ARCSEC,
        },
    )
    for asdm in mous.asdms:
        name = disk_name(asdm.uid)
        group = _file_group(cursor, asdm.files, subdirectory=name)
        execute(cursor, "mous_member", {**group, "mous_uid": mous.uid, "asdm_uid": asdm.uid, "disk_name": name})
    # They belong beside the ASDMs, not into one.
    group = _file_group(cursor, mous.products, subdirectory=None)
    versions = {"casa_version": mous.casa_version, "pipeline_version": mous.pipeline_version}
    execute(cursor, "mous_calibration", {**group, **versions, "locator": mous.calibration, "mous_uid": mous.uid})


def observe_mous(
    *, archive: str, ngas: str, made: Path, project: str = facts.PROJECT, uid: str | None = None, count: int = 1
) -> Iterator[ObservedMous]:
    """Observes, and yields each MOUS when the archive shows it.

    Args:
        archive: the archive's database.
        ngas: the NGAS server, ``http://[user:password@]host:port``.
        made: the directory that ``make_mous.py`` made.
        project: the project code.
        uid: the UID of the only one; new UIDs if it is not given.
        count: how many.

    Raises:
        InvalidInput: the directory holds no MOUS, the UID or the project code is none, or several are to have one UID.
        ServiceUnavailable: NGAS or the archive cannot serve now.
        SrdpError: NGAS refused a file, or the archive has that MOUS already.
    """
    if uid is not None and count != 1:
        raise InvalidInput("One UID can be given to one MOUS only: leave out the UID or the count.")
    address = server_address(ngas)
    source = read_made(made)
    for _ in range(count):
        mous = store(ngas, source, project=project, uid=uid)
        with publishing(archive, f"a MOUS {quoted(mous.uid)}") as cursor:
            publish(cursor, mous, ngas_address=address)
        yield mous


def _store_asdm(ngas: str, made: Path) -> ObservedAsdm:
    key = uuid.uuid4()
    # Names that no other file has, within NGAS's 64 characters.
    files = tuple(
        archive_file(ngas, path, f"uid___alma_asdm_{key}.{number}", path.relative_to(made).as_posix())
        for number, path in enumerate(sdm_files(made), start=1)
    )
    return ObservedAsdm(asdm_uid(_new_uid("A002")), files)


def _file_group(cursor: psycopg.Cursor[DictRow], files: tuple[StoredFile, ...], *, subdirectory: str | None) -> DictRow:
    (group,) = execute(cursor, "file_group")
    for file in files:
        execute(cursor, "file", {**group, **vars(file), "subdirectory": subdirectory, "ngas_server": NGAS_SERVER})
    return group


def _new_uid(archive: str) -> str:
    return f"uid://{archive}/X{secrets.randbelow(16**8):x}/X{secrets.randbelow(16**4):x}"


def main() -> int:
    """Observes as the command line says; prints a line for each MOUS when the archive shows it."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.alma_observation.observe", description="Observe one more MOUS."
    )
    parser.add_argument("--archive", default=database_url(), help=f"the archive's database; else ${DATABASE_VARIABLE}")
    parser.add_argument("--ngas", required=True, help="the NGAS server, http://[user:password@]host:port")
    parser.add_argument("--made", type=Path, required=True, help="the directory that make_mous.py made")
    parser.add_argument("--project", default=facts.PROJECT, help="the project code (%(default)s)")
    parser.add_argument("--uid", help="the UID of the MOUS; it is made up otherwise")
    parser.add_argument("--count", type=int, default=1, help="how many (%(default)s)")
    options = parser.parse_args()
    if not options.archive:
        parser.error(f"give --archive, or set {DATABASE_VARIABLE}")
    try:
        for mous in observe_mous(**vars(options)):
            print("  ".join([mous.uid, *(asdm.uid for asdm in mous.asdms), mous.calibration]), flush=True)
    except SrdpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
