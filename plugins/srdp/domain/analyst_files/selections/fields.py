"""The selection of fields and of intents, by name or number."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from srdp.domain.analyst_files.selections.numbers import takes
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.selections.syntax import (
    INTEGER,
    RANGE,
    Fault,
    beyond_count,
    empty_piece,
    is_found,
    is_matched,
    known_names,
    pieces,
    reversed_range,
)

_NUMBER_BOUND = re.compile(r"[<>] *[0-9]+")
# What the scanner takes in a name without quotes, seen with every character; the others it takes for something else.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_+\-.:;=@#%$!'{},*? ]+")
# What no quotes keep from its meaning.
_NEVER_IN_QUOTES = re.compile(r'["\\\[\]{}]')


def field_selection(name: str) -> str:
    """Return a field's name as CASA and its pipeline select it: in double quotes where it would be something else.

    So does the pipeline itself (``utils.fieldname_for_casa``).

    Args:
        name: the name as the data have it.
    """
    return name if re.fullmatch(r"(?!\d+$)[A-Za-z0-9_+-]+", name) else f'"{name}"'


def field_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of names or numbers of fields, such as ``3C286,"W3(OH)",NGC*,2~4``.

    Args:
        text: the selection.
        observed: the observation, for its fields.
    """
    for offset, piece in pieces(text, ",", enclosing='/"'):
        around = text[max(offset - 1, 0) : offset]
        around += text[offset + len(piece) : offset + len(piece) + 1] if piece[:1] in {'"', "/"} else ""
        if not piece:
            yield empty_piece(offset, text)
        elif piece[0] in '"/<>' and " " in around:
            yield Fault(offset, piece, "has a blank beside it, which CASA does not take there", "remove the blank")
        elif fault := reversed_range(offset, piece) or _field_number_fault(piece, offset, observed):
            yield fault
        elif not (INTEGER.fullmatch(piece) or RANGE.fullmatch(piece) or _NUMBER_BOUND.fullmatch(piece)):
            yield from _field_name_faults(piece, offset, observed)


def _field_number_fault(piece: str, offset: int, observed: Observed) -> Fault | None:
    if piece in observed.fields and INTEGER.fullmatch(piece):
        problem = "is the number of a field for CASA, and not the field that is called so"
        return Fault(offset, piece, problem, f"write '\"{piece}\"' for the name")
    if INTEGER.fullmatch(piece) or RANGE.fullmatch(piece):
        return beyond_count(offset, piece, len(observed.fields), "fields")
    if _NUMBER_BOUND.fullmatch(piece) and observed.fields:
        if any(takes(piece, number) for number in range(len(observed.fields))):
            return None
        return Fault(offset, piece, "selects no field of this observation", "choose another number")
    return None


def _field_name_faults(piece: str, offset: int, observed: Observed) -> Iterator[Fault]:
    quoted = re.fullmatch('"([^"]*)"', piece)
    if expression := re.fullmatch("/([^/]+)/", piece):
        if observed.fields and not is_found(expression[1], observed.fields):
            yield _unknown_field(piece, offset, observed)
        return
    name = quoted[1].strip(" ") if quoted else piece
    if '"' in name or (_NEVER_IN_QUOTES.search(name) if quoted else not _PLAIN_NAME.fullmatch(piece)):
        fix = "write the number of the field" if _NEVER_IN_QUOTES.search(name) else f"write '\"{name[:60]}\"'"
        yield Fault(offset, piece, "has a character in it that CASA takes for something else", fix)
        return
    matched = [field for field in dict.fromkeys(observed.fields) if fnmatch.fnmatchcase(field.strip(" "), name)]
    if observed.fields and not matched:
        yield _unknown_field(piece, offset, observed)
    elif name in observed.fields and len(matched) > 1:
        also = ", ".join(field for field in matched if field != name)
        exact = re.sub(r"[*?]", r"[\g<0>]", name)
        yield Fault(offset, piece, f"selects {also[:100]} too", f"write the number of the field, or '/{exact}/'")


def _unknown_field(piece: str, offset: int, observed: Observed) -> Fault:
    return Fault(offset, piece, "is no field of this observation", f"choose from {known_names(observed.fields)}")


def intent_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of intents, such as ``*BANDPASS*,OBSERVE_TARGET#UNSPECIFIED``.

    Args:
        text: the selection.
        observed: the observation, for its intents.
    """
    for offset, piece in pieces(text, ",", enclosing="/"):
        if not piece:
            yield empty_piece(offset, text)
        elif fault := reversed_range(offset, piece):
            yield fault
        elif INTEGER.fullmatch(piece) or RANGE.fullmatch(piece) or _NUMBER_BOUND.fullmatch(piece):
            # How many states the data will have, nobody knows: as many as there are intents at least.
            is_there = not observed.intents or any(takes(piece, number) for number in range(len(observed.intents)))
            fix = "write the intent, for example *BANDPASS*"
            yield Fault(offset, piece, "is the number of a state, not an intent", fix, only_odd=is_there)
        else:
            yield from _intent_name_faults(piece, offset, observed)


def _intent_name_faults(piece: str, offset: int, observed: Observed) -> Iterator[Fault]:
    if re.fullmatch("/[^/]+/", piece):
        if observed.intents and not is_found(piece[1:-1], observed.intents):
            yield _unknown_intent(piece, offset, observed)
    elif not re.fullmatch(r"[A-Za-z0-9_#*?.\-]+", piece):
        yield Fault(offset, piece, "is no intent", "write for example *BANDPASS*")
    elif observed.intents and not is_matched(piece, observed.intents):
        yield _unknown_intent(piece, offset, observed)


def _unknown_intent(piece: str, offset: int, observed: Observed) -> Fault:
    intents = {part for each in observed.intents for part in each.split(",")}
    problem = "is no intent of a scan of this observation, as the data have it"
    return Fault(offset, piece, problem, f"write one of {known_names(sorted(intents))} with * before and behind it")
