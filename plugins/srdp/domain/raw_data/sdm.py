"""What a Science Data Model says of its observation: when it was, who took part, and what was observed how.

The tables are those of the SDM (``Antenna.xml``, ``Field.xml`` and so on); arrays in them are text, with the number of
dimensions, the length of each, and then the values. What is asked of them is how the measurement set will be numbered
and named that ``importasdm`` makes: a row of Field is a field, a row of SpectralWindow a spectral window, and a scan's
intents are joined with those of its subscans. Of ALMA's spectral windows the order may be another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from srdp.domain.analyst_files.selections.observed import Observed, Window
from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.safe_xml import XmlElement, parse_xml
from srdp.domain.files.shared_files import SDM_TABLE, read_shared
from srdp.domain.files.storage import LocalFilesError

#: The times of an SDM are nanoseconds since this moment, the beginning of the modified Julian date.
_MJD_ZERO: Final = datetime(1858, 11, 17, tzinfo=UTC)
_VLA: Final = frozenset({"VLA", "EVLA"})


def observed_in(root: Path, sdm: Path) -> Observed:
    """Return what the tables of an SDM say; what cannot be read of them is left out.

    Args:
        root: the folder that is trusted: the run's directory.
        sdm: the SDM, a folder below it.
    """
    tables = _Tables(root, sdm)
    blocks = tables.rows("ExecBlock")
    starts, ends = (list(_moments(blocks, name)) for name in ("startTime", "endTime"))
    stations = {_text(row, "stationId"): row for row in tables.rows("Station")}
    antennas = [row for row in tables.rows("Antenna") if _text(row, "name")]
    names = tuple(dict.fromkeys(_text(row, "name") for row in antennas))
    pads = {_text(row, "name"): _station(stations, row) for row in antennas}
    return Observed(
        start=min(starts, default=None),
        end=max(ends, default=None),
        antennas=names,
        stations=tuple(pads.items()) if all(pads.values()) else (),
        fields=_all_of(tables, "Field", "fieldName"),
        scans=tuple(dict.fromkeys(map(int, filter(_is_number, _all_of(tables, "Scan", "scanNumber"))))),
        windows=_windows(tables),
        windows_in_order=bool(blocks) and all(_text(row, "telescopeName") in _VLA for row in blocks),
        intents=_intents(tables),
        correlations=tuple(
            dict.fromkeys(each for row in tables.rows("Polarization") for each in _array(row, "corrType"))
        ),
        observations=len(blocks),
        longest_baseline_m=_longest_baseline(stations, antennas),
    )


@dataclass(frozen=True)
class _Tables:
    """The tables of an SDM."""

    root: Path
    sdm: Path

    def rows(self, table: str) -> list[XmlElement]:
        """Return the rows of a table; none if it cannot be read."""
        path = self.sdm / f"{table}.xml"
        try:
            content = read_shared(self.root, path, SDM_TABLE)
            return list(parse_xml(content, str(path), root=f"{table}Table").iterchildren("row"))
        except (FileNotFoundError, InvalidInput, LocalFilesError):
            return []


def _all_of(tables: _Tables, table: str, name: str) -> tuple[str, ...]:
    """Return what each row of a table says; nothing if one says nothing."""
    texts = tuple(_text(row, name) for row in tables.rows(table))
    return texts if all(texts) else ()


def _windows(tables: _Tables) -> tuple[Window, ...]:
    """Return the spectral windows; none if one of them cannot be read."""
    windows = [_window(row) for row in tables.rows("SpectralWindow")]
    return () if None in windows else tuple(window for window in windows if window)


def _window(row: XmlElement) -> Window | None:
    channels = _text(row, "numChan")
    start, step = _number(_text(row, "chanFreqStart")), _number(_text(row, "chanFreqStep"))
    frequencies = [_number(each) for each in _array(row, "chanFreqArray")]
    if not _is_number(channels) or not int(channels):
        return None
    if start and step:
        ends = [start - step / 2, start + step * (int(channels) - 0.5)]
    elif len(frequencies) == int(channels) and all(frequencies):
        half = (_number(_text(row, "totBandwidth")) / len(frequencies)) / 2
        ends = [min(frequencies) - half, max(frequencies) + half]
    else:
        return None
    return Window(_text(row, "name"), int(channels), min(ends), max(ends))


def _intents(tables: _Tables) -> tuple[str, ...]:
    """Return the intents of each scan and subscan as importasdm writes them: ``INTENT#SUBSCAN_INTENT`` and commas."""
    of_scans = {_text(row, "scanNumber"): _array(row, "scanIntent") for row in tables.rows("Scan")}
    found: dict[str, None] = {}
    for row in tables.rows("Subscan"):
        scan, subscan = _text(row, "scanNumber"), _text(row, "subscanIntent")
        if not of_scans.get(scan) or not subscan:
            return ()
        found[",".join(f"{intent}#{subscan}" for intent in of_scans[scan])] = None
    return tuple(found)


def _station(stations: Mapping[str, XmlElement], antenna: XmlElement) -> str:
    row = stations.get(_text(antenna, "stationId"))
    return "" if row is None else _text(row, "name")


def _longest_baseline(stations: Mapping[str, XmlElement], antennas: list[XmlElement]) -> float:
    """Return the largest distance between two antennas (m); 0 if it is not known."""
    places = []
    for antenna in antennas:
        row = stations.get(_text(antenna, "stationId"))
        place = [] if row is None else [_number(each) for each in _array(row, "position")]
        if len(place) != 3:
            return 0.0
        places.append(place)
    return max(itertools.starmap(math.dist, itertools.combinations(places, 2)), default=0.0)


def _moments(blocks: list[XmlElement], name: str) -> Iterator[datetime]:
    for row in blocks:
        text = _text(row, name)
        # Twenty digits last until the year 5000; Python does not read thousands of them.
        if _is_number(text) and len(text) <= 20:
            yield _MJD_ZERO + timedelta(microseconds=int(text) // 1000)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _number(text: str) -> float:
    """Return a number; 0 if it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _array(row: XmlElement, name: str) -> list[str]:
    """Return the values of an array of one dimension."""
    words = _text(row, name).split()
    return words[2:] if words[:1] == ["1"] and words[1:2] == [str(len(words) - 2)] else []


def _text(row: XmlElement, name: str) -> str:
    element = row.find(name)
    return "" if element is None or element.text is None else str(element.text).strip()
