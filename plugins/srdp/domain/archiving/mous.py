"""An ALMA MOUS as the archive describes it, and what a run that images it needs of it in ``rawdata/``.

The images are made from data that are calibrated again by restoring a calibration: manifest, calibration tables, flags
and apply list of it have to be in ``rawdata/`` beside the ASDMs, because ``hifa_restoredata{copytoraw=False}`` looks
for them there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final

from srdp.domain.casa.manifest import RESTORE_KINDS, Manifest, read_manifest
from srdp.domain.common.errors import IntegrityError, InvalidInput, Refused, quoted
from srdp.domain.common.outside_numbers import real_number
from srdp.domain.files.shared_files import MANIFEST, read_shared
from srdp.domain.files.shared_folders import list_shared
from srdp.domain.ngas.locator_report import LocatorReport, combined_report
from srdp.domain.ppr.subject import Asdm, asdm
from srdp.domain.runs.identifiers import Locator, MousUid, archive_locator, mous_uid
from srdp.domain.runs.ledger_records import FetchedFile

_MANIFEST: Final = "*pipeline_manifest.xml"
_CALIBRATION_TABLES: Final = "*.caltables.tgz"
_SHOWN: Final = 3
_FREQUENCIES_GHZ: Final = (1.0, 10_000.0)
_RESOLUTIONS_ARCSEC: Final = (1e-4, 1000.0)
_SESSION: Final = re.compile(r"session_([1-9][0-9]{0,3})", re.ASCII)


@dataclass(frozen=True)
class LocatedAsdm(Asdm):
    """An ASDM that the archive has.

    Attributes:
        locator: the archive's key of it, which the locator service is asked for.
    """

    locator: Locator


@dataclass(frozen=True, kw_only=True)
class Mous:
    """One MOUS.

    Attributes:
        uid: for example ``uid://A001/X1288/X3f``.
        project: the project code, for example ``2019.1.00001.S``.
        asdms: its ASDMs, by UID; at least one.
        calibration: the archive's key of its newest calibration; None if it has none.
        frequency_ghz: about which frequency it was observed at, in GHz; None if the archive does not know.
        resolution_arcsec: the angular resolution of its data, in arcseconds; likewise.
    """

    uid: MousUid
    project: str
    asdms: tuple[LocatedAsdm, ...]
    calibration: Locator | None = None
    frequency_ghz: float | None = None
    resolution_arcsec: float | None = None

    @property
    def named_asdms(self) -> tuple[Asdm, ...]:
        """Its ASDMs, as a PPR names them."""
        return tuple(Asdm(each.uid, each.disk_name) for each in self.asdms)

    @property
    def locators(self) -> tuple[Locator, ...]:
        """What the locator service is asked for, one after the other: the ASDMs and the calibration.

        Raises:
            Refused: there is no calibration.
        """
        return (*(each.locator for each in self.asdms), self.calibration_locator)

    @property
    def calibration_locator(self) -> Locator:
        """The archive's key of its calibration.

        Raises:
            Refused: there is none.
        """
        if self.calibration is None:
            raise Refused(
                f"The archive has no calibration of {self.uid}, from which its data could be restored and imaged: ask "
                "its operators whether it has been ingested."
            )
        return self.calibration

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Mous:
        """Return the MOUS that :meth:`as_json` gave.

        Raises:
            InvalidInput: an identifier in it has not its form.
        """
        return mous(
            uid=obj["uid"],
            project=obj["project"],
            asdms=((each["uid"], each["disk_name"], each["locator"]) for each in obj["asdms"]),
            calibration=obj["calibration"],
            frequency_ghz=obj["frequency_ghz"],
            resolution_arcsec=obj["resolution_arcsec"],
        )


def mous(
    *,
    uid: object,
    project: str,
    asdms: Iterable[tuple[object, object, object]],
    calibration: object = None,
    frequency_ghz: object = None,
    resolution_arcsec: object = None,
) -> Mous:
    """Return a MOUS from what a database says of it; every identifier passes its parser.

    Args:
        uid: its UID.
        project: the project code.
        asdms: UID, name on disk and locator of each ASDM.
        calibration: the locator of its calibration; None if it has none.
        frequency_ghz: see :class:`Mous`; of whichever type the database has for numbers. What is none, or none that
            can be, is not known.
        resolution_arcsec: likewise.

    Raises:
        InvalidInput: an identifier has not its form.
    """
    located = []
    for member, on_disk, found_at in asdms:
        known = asdm(member, on_disk)
        located.append(LocatedAsdm(known.uid, known.disk_name, archive_locator(found_at)))
    return Mous(
        uid=mous_uid(uid),
        project=project,
        asdms=tuple(located),
        calibration=None if calibration is None else archive_locator(calibration),
        frequency_ghz=_known_number(frequency_ghz, *_FREQUENCIES_GHZ),
        resolution_arcsec=_known_number(resolution_arcsec, *_RESOLUTIONS_ARCSEC),
    )


def _known_number(value: object, lowest: float, highest: float) -> float | None:
    # An estimate is made of it: an archive that says nonsense must not keep anybody from an image.
    try:
        number = real_number(value, what="number")
    except InvalidInput:
        return None
    return number if lowest <= number <= highest else None


def report_of_mous(imaged: Mous, reports: Mapping[Locator, LocatorReport]) -> LocatorReport:
    """Return one report of everything that a run needs of a MOUS, for one ``rawdata/``.

    Args:
        imaged: the MOUS.
        reports: what the locator service says of each of :attr:`Mous.locators`.

    Raises:
        InvalidInput: two of them name one place with other content, or a file would be where the pipeline does not
            look for it.
        Refused: the calibration lacks what a restore needs, by the names of its files.
    """
    for each in imaged.asdms:
        _check_places(reports[each.locator], each.locator, PurePosixPath(each.disk_name))
    calibration = imaged.calibration_locator
    _check_places(reports[calibration], calibration, PurePosixPath())
    gaps = list(_missing_by_name(imaged, {str(file.destination) for file in reports[calibration].files}))
    if gaps:
        raise _not_restorable(imaged, gaps)
    return combined_report(reports)


def check_restorable(imaged: Mous, rawdata: Path, files: Iterable[FetchedFile]) -> None:
    """Make sure, before CASA is started, that ``rawdata/`` holds what the restore of the calibration needs.

    That is a manifest, and in it calibration tables and, for every ASDM, flags and apply list; all of them files of the
    fetch.

    Args:
        imaged: the MOUS.
        rawdata: the run's ``rawdata/``.
        files: what was fetched into it.

    Raises:
        Refused: something is missing; the message says what.
        IntegrityError: the manifest cannot be read.
    """
    names = {file.path for file in files}
    gaps = list(_missing_by_name(imaged, names)) or list(_missing_by_manifest(_manifest(imaged, rawdata, names), names))
    if gaps:
        raise _not_restorable(imaged, gaps)


def sessions_of(asdms: Iterable[Asdm], rawdata: Path) -> dict[int, list[Asdm]]:
    """Return the ASDMs by the number of their session, to be written into a PPR.

    Those that :func:`sessions_in_manifest` does not list belong to the first session.

    Args:
        asdms: the ASDMs.
        rawdata: the run's ``rawdata/``, with what was fetched.

    Raises:
        InvalidInput: the manifest cannot be read.
    """
    asdms = tuple(asdms)
    known = sessions_in_manifest(asdms, rawdata)
    found: dict[int, list[Asdm]] = {}
    for each in asdms:
        found.setdefault(known.get(each.uid, 1), []).append(each)
    return dict(sorted(found.items()))


def sessions_in_manifest(asdms: Iterable[Asdm], rawdata: Path) -> dict[str, int]:
    """Return the number of the session of each ASDM that the manifest of the calibration which is restored names.

    The calibration tables of each session are a tar of their own, which the pipeline finds by the sessions of the PPR.

    Args:
        asdms: the ASDMs.
        rawdata: the run's ``rawdata/``, with what was fetched.

    Raises:
        InvalidInput: the manifest cannot be read.
    """
    named: Mapping[str, str] = {}
    for path in list_shared(rawdata, rawdata, _MANIFEST)[:1]:
        named = _read(rawdata, path.name).sessions
    matches = {each.uid: _SESSION.fullmatch(named.get(f"{each.disk_name}.ms", "")) for each in asdms}
    return {uid: int(match[1]) for uid, match in matches.items() if match}


def _check_places(report: LocatorReport, about: Locator, folder: PurePosixPath) -> None:
    for file in report.files:
        if file.subdirectory != folder:
            wanted = f"rawdata/{folder}" if folder.parts else "rawdata/ itself"
            raise InvalidInput(
                f"The locator report of {about} puts {quoted(file.destination)} into rawdata/, but the pipeline looks "
                f"for its files in {wanted}: tell the archive's operators."
            )


def _missing_by_name(imaged: Mous, names: set[str]) -> Iterator[str]:
    manifests = _named(_MANIFEST, names)
    if len(manifests) != 1:
        yield f"{len(manifests) or 'no'} manifest{'s' if manifests else ''} {_MANIFEST}, and must have one"
    if not _named(_CALIBRATION_TABLES, names):
        yield f"no calibration tables {_CALIBRATION_TABLES}"
    for each in imaged.asdms:
        for kind, ending in (("flags", "flagversions.tgz"), ("apply list", "calapply.txt")):
            name = f"{each.disk_name}.ms.{ending}"
            if name not in names:
                yield f"no {kind} {name}"


def _named(pattern: str, names: set[str]) -> list[str]:
    """Return what is directly in ``rawdata/`` and is named so."""
    return [name for name in names if "/" not in name and fnmatchcase(name, pattern)]


def _manifest(imaged: Mous, rawdata: Path, names: set[str]) -> Manifest:
    (name,) = _named(_MANIFEST, names)
    try:
        return _read(rawdata, name)
    except InvalidInput as error:
        raise IntegrityError(f"The calibration of {imaged.uid} cannot be restored: {error}") from None


def _read(rawdata: Path, name: str) -> Manifest:
    where = f"rawdata/{name}"
    try:
        return read_manifest(read_shared(rawdata, rawdata / name, MANIFEST), where)
    except FileNotFoundError:
        raise InvalidInput(f"{where} is not there: it was removed since it was fetched.") from None


def _missing_by_manifest(manifest: Manifest, names: set[str]) -> Iterator[str]:
    for kind in manifest.missing_for_a_restore:
        yield f"no {kind} in its manifest, or not for every session and ASDM"
    for product in manifest.products:
        if product.element in RESTORE_KINDS and product.name not in names:
            yield f"no {quoted(product.name)}, the {RESTORE_KINDS[product.element]} that its manifest names"


def _not_restorable(imaged: Mous, gaps: list[str]) -> Refused:
    more = f"; and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    return Refused(
        f"The calibration {imaged.calibration} of {imaged.uid} cannot be restored, because it has "
        f"{'; '.join(gaps[:_SHOWN])}{more}: ask the archive's operators for a complete one."
    )
