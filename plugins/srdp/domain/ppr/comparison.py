"""Both readings of a PPR compared: what it says to a person, and what the pipeline takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from srdp.domain.common.pipeline_values import Value
from srdp.domain.ppr.markup import Element, text_of
from srdp.domain.ppr.reader import BETWEEN_UIDS, DEFAULT_SESSION, Reading
from srdp.domain.ppr.structure import SESSION, command_name

#: How a person writes a number.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def is_meant(written: str, taken: Value) -> bool:
    """Return whether the pipeline takes a text for what it says to a person."""
    if isinstance(taken, bool):
        return True  # there is no other way to write it, whatever its case
    if isinstance(taken, int):
        return str(taken) == written.removeprefix("+")
    if isinstance(taken, float):
        return math.isfinite(taken) and NUMBER.fullmatch(written) is not None
    return taken == written


def differences(root: Element, reading: Reading) -> Iterator[tuple[Element, str, object]]:
    """Yield where the file says one thing to a person and another to the pipeline: element, and both of them."""
    commands = [element for element in root.iter() if element.tag == "ProcessingCommand"]
    for number, element in enumerate(commands):
        taken = reading.commands[number] if number < len(reading.commands) else None
        written = [
            (text_of(each.find("Keyword")), text_of(each.find("Value")))
            for each in element.iter()
            if each.tag == "Parameter"
        ]
        if taken is None or taken.element is not element or taken.name != command_name(element):
            yield element, command_name(element), taken and taken.name
        elif not _same(written, taken.parameters):
            yield element, command_name(element), dict(taken.parameters)
    intents = [each for each in root.iter() if each.tag == "Intents"]
    pairs = [(text_of(each.find("Keyword")), text_of(each.find("Value"))) for each in intents]
    if not _same(pairs, reading.intents):
        yield intents[0] if intents else root, "ProcessingIntents", dict(reading.intents)
    yield from _data_differences(root, reading, dict(pairs))


def _same(written: Sequence[tuple[str, str]], taken: Mapping[Value, Value]) -> bool:
    return [keyword for keyword, _ in written] == [*taken] and all(
        is_meant(value, taken[key]) for key, value in written
    )


def _data_differences(
    root: Element, reading: Reading, intents: Mapping[str, str]
) -> Iterator[tuple[Element, str, object]]:
    asdms = [each for each in root.iter() if each.tag == "AsdmIdentifier"]
    sessions = {
        uid: keyword.lower()
        for keyword, members in intents.items()
        if SESSION.fullmatch(keyword)
        for uid in members.split(BETWEEN_UIDS)
    }
    written = [
        (
            text_of(each.find("AsdmDiskName")),
            uid := text_of(each.find("AsdmRef/ExecBlockId")),
            sessions.get(uid, DEFAULT_SESSION),
        )
        for each in asdms
    ] or [(text_of(each), text_of(each), DEFAULT_SESSION) for each in root.iter() if each.tag == "SdmIdentifier"]
    taken = [(each.disk_name, each.uid, each.session) for each in reading.data_sets]
    if written != taken:
        yield asdms[0] if asdms else root, f"{written}", taken
    paths = [each for each in root.iter() if each.tag == "RelativePath"]
    if [text_of(each) for each in paths] != [reading.relative_path]:
        yield paths[0] if paths else root, text_of(paths[0] if paths else None), reading.relative_path
