"""What a Science Data Model says of its observation: when it was, and which antennas took part."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from srdp.domain.errors import InvalidInput, ServiceUnavailable
from srdp.domain.given_files import read_below
from srdp.domain.safe_xml import XmlElement, parse_xml
from srdp.domain.selections import Observed

#: The times of an SDM are nanoseconds since this moment, the beginning of the modified Julian date.
_MJD_ZERO: Final = datetime(1858, 11, 17, tzinfo=UTC)
_LARGEST_BYTES: Final = 20_000_000


def observed_in(sdm: Path) -> Observed:
    """Returns what the tables ``ExecBlock`` and ``Antenna`` of an SDM say; what cannot be read of them is left out.

    Args:
        sdm: the SDM, a folder.
    """
    starts, ends = (list(_moments(sdm, name)) for name in ("startTime", "endTime"))
    return Observed(
        start=min(starts, default=None),
        end=max(ends, default=None),
        antennas=tuple(dict.fromkeys(name for row in _rows(sdm, "Antenna") if (name := _text(row, "name")))),
    )


def _moments(sdm: Path, name: str) -> Iterator[datetime]:
    for row in _rows(sdm, "ExecBlock"):
        text = _text(row, name)
        # Twenty digits last until the year 5000; Python does not read thousands of them.
        if text.isascii() and text.isdecimal() and len(text) <= 20:
            yield _MJD_ZERO + timedelta(microseconds=int(text) // 1000)


def _rows(sdm: Path, table: str) -> list[XmlElement]:
    path = sdm / f"{table}.xml"
    try:
        content = read_below(str(path), [sdm], largest_bytes=_LARGEST_BYTES)
        return list(parse_xml(content, str(path), root=f"{table}Table").iterchildren("row"))
    except (InvalidInput, ServiceUnavailable):
        return []


def _text(row: XmlElement, name: str) -> str:
    element = row.find(name)
    return "" if element is None or element.text is None else str(element.text).strip()
