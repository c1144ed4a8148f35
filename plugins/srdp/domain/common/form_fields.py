"""The forms by which people start DAGs: what each field is called, what it takes, and the messages about invalid input.

A form is described once. From the description come the page that Airflow shows, the check by the first task of the DAG,
and the table in the documentation. Airflow itself checks nothing: what it says of a wrong value is a dump of a JSON
schema, one field at a time.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from srdp.domain.common.errors import Faults, InvalidInput, quoted

#: A function that returns a value in its one form, or raises :class:`InvalidInput` with a sentence.
Parser = Callable[[object], object]

_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.0*)?")
#: The order in which a line of text names a cube, for the people who write one.
CUBE_LINE: Final = "field, spw, rest frequency in GHz, start, width, channels"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a form.

    Attributes:
        title: what people call it.
        description: what stands below it.
        parser: checks a value that says something.
        shown: the keywords of a JSON schema from which Airflow's page makes the field: ``type``, ``format``, ``enum``.
        default: what counts when the field is not given at all.
        required: whether it must say something.
        section: the part of the form that it stands in, if any.
        verbatim: whether blanks at both ends are part of the value, as they are of the text of a file.
        listed: whether it may also be a list, as the API can give one.
    """

    title: str
    description: str
    parser: Parser
    shown: Mapping[str, Any]
    default: object = None
    required: bool = False
    section: str | None = None
    verbatim: bool = False
    listed: bool = False


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of a DAG.

    Attributes:
        dag_id: the DAG.
        fields: its fields by the name that each has in ``conf``, in the order of the page.
        rule: checks what concerns several fields; it is given all fields, None for those that say nothing.
    """

    dag_id: str
    fields: Mapping[str, Field]
    rule: Callable[[Mapping[str, object]], object] | None = None

    def faults(self, conf: Mapping[str, object]) -> Faults:
        """Return everything that is wrong with what was given.

        Args:
            conf: what the DAG run was triggered with.
        """
        faults = Faults()
        for name in conf:
            if name not in self.fields:
                faults.add(self._unknown(name))
        given = {name: self._given(name, conf) for name in self.fields}
        for name, field in self.fields.items():
            with faults.collected():
                if given[name] is not None:
                    field.parser(given[name])
                elif field.required:
                    raise InvalidInput(f"{field.title} ({name}) is empty: fill it in. {field.description}")
        if self.rule is not None:
            with faults.collected():
                self.rule(given)
        return faults

    def _given(self, name: str, conf: Mapping[str, object]) -> object:
        field = self.fields[name]
        value = conf.get(name, field.default)
        if says_nothing(value):
            return None
        return value.strip() if isinstance(value, str) and not field.verbatim else value

    def _unknown(self, name: str) -> str:
        if not self.fields:
            return f"{self.dag_id} has no fields, but was given {quoted(name)}: start it without."
        near = difflib.get_close_matches(str(name).lower(), self.fields, n=1, cutoff=0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"{quoted(name)} is not a field of {self.dag_id}: {meant}Its fields are {', '.join(self.fields)}."


def said(value: object) -> str | None:
    """Return what a field says as text, as it is; None if it says nothing.

    Args:
        value: the field, as it was given or as a template rendered it.
    """
    return None if says_nothing(value) else str(value)


def says_nothing(value: object) -> bool:
    """Whether a field is empty: not given, an empty list, blanks only, or what a template makes of nothing."""
    if isinstance(value, str):
        return value.strip() in {"", "None"}
    return value is None or (isinstance(value, list | tuple | dict) and not value)


# --- parsers ----------------------------------------------------------------------------------------------------------


def text(what: str, longest: int, *, lines: bool = False) -> Callable[[object], str]:
    """Return the parser for text.

    Args:
        what: what it is called, as the beginning of a sentence.
        longest: how many characters it may have.
        lines: whether it may have several lines.
    """

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise InvalidInput(f"{what} is {quoted(value)}, which is not text: give text.")
        if len(value) > longest:
            raise InvalidInput(f"{what} has {len(value)} characters: shorten it to {longest}.")
        if not lines and "\n" in value:
            raise InvalidInput(f"{what} is {quoted(value)}, which has several lines: give one.")
        return value

    return check


def choice(what: str, values: Sequence[str]) -> Callable[[object], str]:
    """Return the parser for one of some words.

    Args:
        what: what it is called, as the beginning of a sentence.
        values: the words.
    """

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in values:
            raise InvalidInput(f"{what} is {quoted(value)}: choose one of {', '.join(values)}.")
        return value

    return check


def whole_number(what: str, lowest: int, highest: int) -> Callable[[object], int]:
    """Return the parser for a whole number, also as text.

    Args:
        what: what it is called, as the beginning of a sentence.
        lowest: the least that it may be.
        highest: the most.
    """

    def check(value: object) -> int:
        match = _WHOLE.fullmatch(str(value).strip()) if isinstance(value, str | int | float) else None
        if isinstance(value, bool) or match is None or not lowest <= int(match[1]) <= highest:
            raise InvalidInput(f"{what} is {quoted(value)}: write a whole number from {lowest} to {highest}.")
        return int(match[1])

    return check


def real_number(what: str, lowest: float, highest: float, unit: str = "") -> Callable[[object], float]:
    """Return the parser for a number, also as text.

    Args:
        what: what it is called, as the beginning of a sentence.
        lowest: the least that it may be.
        highest: the most.
        unit: its unit, in words; none if it has none.
    """
    of_unit = f", in {unit} and without the unit" if unit else ""

    def check(value: object) -> float:
        number = _finite(value)
        if number is None or not lowest <= number <= highest:
            raise InvalidInput(f"{what} is {quoted(value)}: write a number from {lowest:g} to {highest:g}{of_unit}.")
        return number

    return check


def truth(what: str) -> Callable[[object], bool]:
    """Return the parser for a truth value, also as text.

    Args:
        what: what it is called, as the beginning of a sentence.
    """

    def check(value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
            return value.strip().lower() == "true"
        raise InvalidInput(f"{what} is {quoted(value)}: it is either True or False.")

    return check


def either(first: Parser, second: Parser, sentence: Callable[[object], str]) -> Parser:
    """Return the parser for what one of two parsers takes.

    Args:
        first: the one.
        second: the other.
        sentence: the message about a value that neither takes.
    """

    def check(value: object) -> object:
        for parser in (first, second):
            try:
                return parser(value)
            except InvalidInput:
                continue
        raise InvalidInput(sentence(value))

    return check


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and not (len(value) <= 40 and _REAL.fullmatch(value.strip(" "))):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# --- fields ---------------------------------------------------------------------------------------------------------

ONE_LINE: Final[Mapping[str, Any]] = MappingProxyType({"type": "string"})
LINES: Final[Mapping[str, Any]] = MappingProxyType({"type": "string", "format": "multiline"})
WHOLE: Final[Mapping[str, Any]] = MappingProxyType({"type": "integer"})
REAL: Final[Mapping[str, Any]] = MappingProxyType({"type": "number"})


def truth_field(title: str, description: str, *, default: bool = False, section: str | None = None) -> Field:
    """Return a field that is switched on or off.

    Args:
        title: what people call it.
        description: what stands below it.
        default: whether it is on to begin with.
        section: the part of the form that it stands in.
    """
    return Field(
        title=title,
        description=description,
        parser=truth(title),
        shown={"type": "boolean"},
        default=default,
        required=True,
        section=section,
    )
