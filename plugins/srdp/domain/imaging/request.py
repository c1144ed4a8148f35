"""What a user asks of an ALMA MOUS: which fields are imaged, in which images, and how finely.

A request comes from a form, from Airflow's API or from the ledger, and through one parser, :func:`imaging_request`.
What passes it may stand in a PPR: no value is one that the pipeline's reader would take for something else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from srdp.domain.analyst_files.selections.syntax import pieces
from srdp.domain.common.errors import MOST_FAULTS, InvalidInput, quoted
from srdp.domain.common.form_fields import CUBE_LINE, real_number, says_nothing, truth
from srdp.domain.imaging.cube import CubeRequest, as_validator
from srdp.domain.imaging.field_names import field_in_image_names, field_name
from srdp.domain.runs.identifiers import MousUid, mous_uid

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_LONGEST_EMAIL = 254
_LONGEST_NAME = 200
_MOST_FIELDS = 200
_MOST_CUBES = 100
_LONGEST_TEXT = 100_000
_FINEST_ARCSEC, _COARSEST_ARCSEC = 0.001, 100.0
_CUBE_KEYS = ("field", "spw", "rest_frequency_ghz", "start", "width", "channels")


class ImagingRequestRefused(InvalidInput):
    """A request cannot be taken; the text has one sentence a line."""


def _truth(what: str) -> Callable[[object], bool]:
    check = truth(what)
    return lambda value: False if says_nothing(value) else check(value)


def _person(value: object) -> str:
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _LONGEST_NAME:
        return value.strip()
    raise InvalidInput(f"{quoted(value)} is not a requester's name: write 1 to {_LONGEST_NAME} printable characters.")


def _email(value: object) -> str | None:
    if says_nothing(value):
        return None
    if isinstance(value, str) and len(value) <= _LONGEST_EMAIL and _EMAIL.fullmatch(value.strip(" ")):
        return value.strip(" ")
    raise InvalidInput(f"{quoted(value)} is not an e-mail address: write one such as name@example.org.")


def _resolution(value: object) -> float | None:
    if says_nothing(value):
        return None
    return real_number("The angular resolution", _FINEST_ARCSEC, _COARSEST_ARCSEC, "arcseconds")(value)


class ImagingRequest(BaseModel):
    """What a user asks of a MOUS; see :func:`imaging_request`, which makes one.

    Attributes:
        mous: the MOUS.
        fields: the names of the sources that are imaged.
        continuum: whether a continuum image is made of each.
        cubes: the cubes.
        angular_resolution_arcsec: the resolution that is wanted, in arcseconds; None: what the data have.
        self_calibration: whether the data are self-calibrated before they are imaged.
        asked_by: the requester, as the form says: a name or a login.
        asked_by_email: that person's address; None if it is not known.
        requested_by: the user whom Airflow has authenticated; empty in a request of an earlier release.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mous: Annotated[MousUid, as_validator(mous_uid)]
    fields: tuple[Annotated[str, as_validator(field_name)], ...] = Field(max_length=_MOST_FIELDS)
    continuum: Annotated[bool, as_validator(_truth("Continuum"))] = False
    cubes: tuple[CubeRequest, ...] = Field(default=(), max_length=_MOST_CUBES)
    angular_resolution_arcsec: Annotated[float | None, as_validator(_resolution)] = None
    self_calibration: Annotated[bool, as_validator(_truth("Self-calibration"))] = False
    asked_by: Annotated[str, as_validator(_person)]
    asked_by_email: Annotated[str | None, as_validator(_email)] = None
    requested_by: str = Field(default="", max_length=_LONGEST_NAME)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        cubes = [tuple(getattr(cube, key) for key in _CUBE_KEYS) for cube in self.cubes]
        problems = list(_problems_between(self.fields, cubes, continuum=self.continuum))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def digest(self) -> str:
        """Distinguishes this request from others of the MOUS, no matter who asks: a SHA-256 in hexadecimal.

        The order in which fields and cubes were named does not matter.
        """
        asked = self.model_dump(mode="json", exclude={"asked_by", "asked_by_email", "requested_by"})
        asked["fields"].sort()
        asked["cubes"].sort(key=lambda cube: [cube[key] for key in _CUBE_KEYS])
        return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the request as what JSON can hold, for the ledger."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, obj: object) -> ImagingRequest:
        """Return the request that :meth:`as_json` gave.

        Raises:
            ImagingRequestRefused: it is none.
        """
        if not isinstance(obj, Mapping):
            raise ImagingRequestRefused(f"{quoted(obj)} is no imaging request: give an object.")
        return _validated(obj)


def imaging_request(
    *,
    mous: object,
    fields: object,
    continuum: object = False,
    cubes: object = None,
    angular_resolution_arcsec: object = None,
    self_calibration: object = False,
    asked_by: object,
    asked_by_email: object = None,
    requested_by: object = "",
) -> ImagingRequest:
    """Return what a user asks, from what a form, a template or the API gives; an empty text and ``None`` say nothing.

    Args:
        mous: the MOUS's UID.
        fields: the names of the fields: a list, its JSON, or text with commas or line ends between names.
        continuum: a truth value, or ``True`` or ``False`` as text.
        cubes: a list of objects with the keys ``field``, ``spw``, ``rest_frequency_ghz``, ``start``, ``width`` and
            ``channels``; its JSON; or text with one cube a line, :data:`CUBE_LINE`, for example
            ``TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80``.
        angular_resolution_arcsec: in arcseconds.
        self_calibration: as ``continuum``.
        asked_by: the requester, as the form says.
        asked_by_email: that person's address.
        requested_by: the user whom Airflow has authenticated.

    Raises:
        ImagingRequestRefused: something is wrong; every problem is reported, one sentence a line.
    """
    problems: list[str] = []
    return _validated(
        {
            "mous": mous.strip() if isinstance(mous, str) else mous,
            "fields": _collected(_fields, fields, problems),
            "continuum": continuum,
            "cubes": _collected(_cubes, cubes, problems),
            "angular_resolution_arcsec": angular_resolution_arcsec,
            "self_calibration": self_calibration,
            "asked_by": asked_by,
            "asked_by_email": asked_by_email,
            "requested_by": requested_by,
        },
        problems,
    )


def _collected(read: Callable[[object], list[Any]], value: object, problems: list[str]) -> list[Any] | None:
    """Return what a list holds; None, with its problem, if it cannot be read at all."""
    try:
        return read(value)
    except InvalidInput as problem:
        problems.append(str(problem))
        return None


def _fields(value: object) -> list[Any]:
    given = _items(value, "The fields are")
    if not isinstance(given, str):
        return given
    names = [name for line in given.split("\n") for _, name in pieces(line.strip(), ",", enclosing='"')]
    return [name for name in names if name]


def _cubes(value: object) -> list[Any]:
    given = _items(value, "The cubes are")
    if not isinstance(given, str):
        return given
    return [_cube_of_line(line) for line in given.splitlines() if line.strip()]


def _cube_of_line(line: str) -> dict[str, str]:
    values = [value.strip() for _, value in pieces(line.strip(), ",", enclosing='"')]
    if len(values) != len(_CUBE_KEYS):
        raise InvalidInput(f"{quoted(line, 120)} is no cube: write {CUBE_LINE}, with commas between.")
    return dict(zip(_CUBE_KEYS, values, strict=True))


def _items(value: object, what: str) -> list[Any] | str:
    """Return a list, or the text that is not the JSON of one."""
    if says_nothing(value):
        return []
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise InvalidInput(f"{what} {quoted(value)}: give a list, or text of at most {_LONGEST_TEXT} characters.")
    if not value.lstrip().startswith("["):
        return value
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{what} {quoted(value)}, which is no JSON: correct it, or write text.") from None
    return list(listed)


def _validated(given: Mapping[str, Any], problems: Sequence[str] = ()) -> ImagingRequest:
    """Return the request, or raises with all problems.

    Args:
        given: its values; a list that could not be read is None.
        problems: why lists could not be read.
    """
    found = list(problems)
    unread = {key for key in ("fields", "cubes") if problems and given.get(key) is None}
    try:
        request = ImagingRequest.model_validate({key: value for key, value in given.items() if key not in unread})
        if not found:
            return request
    except ValidationError as error:
        errors = [each for each in error.errors() if not (each["loc"] and each["loc"][0] in unread)]
        found += [line for each in errors for line in _sentences(each, given)]
        if not unread and all(each["loc"] for each in errors):
            found += _problems_in(given)
    shown = list(dict.fromkeys(found))
    more = [f"And {len(shown) - MOST_FAULTS} more."] if len(shown) > MOST_FAULTS else []
    raise ImagingRequestRefused("\n".join([*shown[:MOST_FAULTS], *more]))


def _sentences(error: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield the messages for one of pydantic's errors."""
    place, kind = error["loc"], error["type"]
    name = str(place[-1]) if place else ""
    where = f"Cube {place[1] + 1}: " if len(place) > 1 and place[0] == "cubes" and isinstance(place[1], int) else ""
    if kind == "value_error":
        for line in str(error["ctx"]["error"]).split("\n"):
            yield f"{where}{line}"
    elif kind == "missing":
        yield f"{where}There is no {name}: give one."
    elif kind == "extra_forbidden":
        yield f"{where}{quoted(name)} is not known in a request: remove it."
    elif kind == "too_long":
        yield f"There are {len(given[name])} {name}: ask for at most {error['ctx']['max_length']} at once."
    else:
        yield f"{where}{quoted(error['input'])} is not allowed there: correct it."


def _problems_in(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not fit together in values, some of which are wrong in themselves."""
    fields, cubes = (value if isinstance(value, list) else [] for value in (given.get("fields"), given.get("cubes")))
    named = [name for name in fields if isinstance(name, str)]
    read = [tuple(str(cube.get(key)).strip() for key in _CUBE_KEYS) for cube in cubes if isinstance(cube, Mapping)]
    wanted = str(given.get("continuum")).strip().lower()
    # The field of an unreadable cube is not known.
    yield from _problems_between(named, read, continuum=wanted not in {"", "none", "false"} or len(read) < len(cubes))


def _problems_between(fields: Sequence[str], cubes: Sequence[tuple[Any, ...]], *, continuum: bool) -> Iterator[str]:
    """Yield what does not fit together.

    Args:
        fields: the names of the fields.
        cubes: the values of each cube, in the order of ``_CUBE_KEYS``.
        continuum: whether the continuum is asked for.
    """
    if not fields:
        yield "No field is named: name at least one."
    if not continuum and not cubes:
        yield "Neither the continuum nor a cube is asked for: ask for at least one of them."
    for name, count in Counter(fields).items():
        if count > 1:
            yield f"The field {quoted(name)} is named {count} times: name it once."
    for (name, spw, *_), count in Counter(cubes).items():
        if count > 1:
            yield (
                f"One cube of the field {quoted(name)} in spectral window {spw} is asked for {count} times: ask for it "
                "once."
            )
    for written, count in Counter(map(field_in_image_names, dict.fromkeys(fields))).items():
        if count > 1:
            alike = ", ".join(quoted(name) for name in fields if field_in_image_names(name) == written)
            yield f"The images of {alike} would have the same names: ask for each in a request of its own."
    yield from _apart(fields, {name for name, *_ in cubes}, every_field=continuum or not cubes)


def _apart(fields: Sequence[str], of_cubes: Set[str], *, every_field: bool) -> Iterator[str]:
    """Yield where the fields and the fields of the cubes do not go together."""
    for name in sorted(of_cubes - {*fields}) if fields else ():
        yield f"A cube is asked for of {quoted(name)}, which is not among the fields: name it there too."
    for name in () if every_field else sorted({*fields} - of_cubes):
        yield f"No image is asked for of the field {quoted(name)}: ask for the continuum or a cube, or leave it out."
