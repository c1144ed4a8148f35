"""PPRs with one or more things changed in them that people, editors and programs change.

A mutant is made of a text by a list of :class:`Change`: each names a mutation and, as fractions between 0 and 1, where
it is applied and with what. The same list gives the same mutant.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Piece = TypeVar("Piece")

_LEAF = re.compile(r"<([A-Za-z][A-Za-z0-9]*)([^<>]*)>([^<>]*)</\1>")
_START = re.compile(r"<([A-Za-z][A-Za-z0-9]*)([^<>]*?)(/?)>")

_COMMENT, _INSTRUCTION = "<!-- by hand -->", "<?editor mark?>"
_BLANKS = (" ", "\n          ", "\t", "\u00a0", "\u200b", "\ufeff", "\u2003")
_VALUES = (
    *("007", "016", "16", "-3", "+1", "0.5", ".5", "1.", "1e5", "1E-3", "1_0", "1_0.5", "\uff11\uff12", "0x10", "1 6"),
    *("true", "false", "TRUE", "FALSE", "True", "False", "tRuE", "yes", "None", "none", "nan", "-inf", "Infinity"),
    *("[1, 2]", "(1,)", "{}", "'a'", '"a"', "a, b", "a|b", "a | b", "TW Hya", "W3(OH)", "9" * 5000, "1e999", "\u00e9"),
    *("", " ", ".", "..", "/", "../x", "/etc", "a//b", "x" * 300, "x/" * 700),
    *("breakpoint", "hifv_hanning", "hifv_exportdata", "SESSION_1", "SESSION_2", "SESSION_01", "SPECTRAL_MODE"),
    *("vis", "session", "uid://A002/X1/X2", "uid___A002_X1_X2", "uid___A002_X1_X2.ms"),
)
_TAGS = (
    *("Command", "command", "Comand", "ParameterSet", "ParameterSets", "Parameter", "Keyword", "Value", "Values"),
    *("ProcessingCommand", "ProcessingCommands", "Intents", "Intent", "DataSet", "SdmIdentifier", "AsdmIdentifier"),
    *("AsdmDiskName", "RelativePath", "AlmaStructure", "OUSStatusRef", "SchedBlockSet", "Note", "attributes", "class"),
    *("Command_obj", "Processing-Command", "a.b"),
)
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "iso-8859-1", "us-ascii", "cp1252", "koi8-r")


@dataclass(frozen=True)
class Change:
    """One change: what is done, where in the text, and with which of the pieces."""

    mutation: str
    where: float
    what: float


def mutant(text: str, changes: Sequence[Change]) -> bytes:
    """Return the bytes of a changed PPR."""
    content: bytes | None = None
    for change in changes:
        if change.mutation in DOCUMENT:
            continue
        text = {**HARMLESS, **HARMFUL}[change.mutation](text, change.where, change.what)
    for change in changes:
        if change.mutation in DOCUMENT and content is None:
            content = DOCUMENT[change.mutation](text, change.what)
    return text.encode("utf-8", "surrogatepass") if content is None else content


def _pick(pieces: Sequence[Piece], fraction: float) -> Piece:
    return pieces[min(int(fraction * len(pieces)), len(pieces) - 1)]


def _at_leaf(text: str, where: float, write: Callable[[str, str, str], str]) -> str:
    leaves = list(_LEAF.finditer(text))
    if not leaves:
        return text
    leaf = _pick(leaves, where)
    return text[: leaf.start()] + write(leaf[1], leaf[2], leaf[3]) + text[leaf.end() :]


def _in_leaf(change: Callable[[str, float], str]) -> Callable[[str, float, float], str]:
    def apply(text: str, where: float, what: float) -> str:
        return _at_leaf(text, where, lambda tag, given, said: f"<{tag}{given}>{change(said, what)}</{tag}>")

    return apply


def _insert(piece: str) -> Callable[[str, float], str]:
    def insert(said: str, what: float) -> str:
        at = _pick((0, len(said) // 2, len(said)), what)
        return said[:at] + piece + said[at:]

    return insert


def _element(text: str, where: float) -> tuple[int, int, int]:
    """Return where an element begins, where its start tag ends, and where it ends."""
    starts = list(_START.finditer(text))
    if not starts:
        return 0, 0, 0
    start = _pick(starts, where)
    if start[3]:
        return start.start(), start.end(), start.end()
    depth, tags = 0, re.compile(rf"<(/?){start[1]}(?:[ \n][^<>]*?)?(/?)>")
    for tag in tags.finditer(text, start.start()):
        depth += -1 if tag[1] else int(not tag[2])
        if depth == 0:
            return start.start(), start.end(), tag.end()
    return start.start(), start.end(), start.end()


def _at_element(change: Callable[[str, float], str]) -> Callable[[str, float, float], str]:
    def apply(text: str, where: float, what: float) -> str:
        begin, _, end = _element(text, where)
        return text[:begin] + change(text[begin:end], what) + text[end:]

    return apply


def _renamed(element: str, what: float) -> str:
    tag = _pick(_TAGS, what)
    element = re.sub(r"^<[A-Za-z0-9]+", f"<{tag}", element)
    return re.sub(r"</[A-Za-z0-9]+>$", f"</{tag}>", element)


def _moved(text: str, where: float, what: float) -> str:
    begin, _, end = _element(text, where)
    element, rest = text[begin:end], text[:begin] + text[end:]
    tags = list(re.finditer(r"(?<=>)(?=\s*<)", rest))
    at = _pick(tags, what).start() if tags else 0
    return rest[:at] + element + rest[at:]


def _between(piece: str) -> Callable[[str, float, float], str]:
    def apply(text: str, where: float, what: float) -> str:
        # Not beside a text: between two tags that blanks and a line's end separate.
        gaps = list(re.finditer(r"(?<=>)\r?\n(?=\s*<)", text))
        at = _pick(gaps, where).start() if gaps else len(text)
        return text[:at] + piece + text[at:]

    return apply


def _attribute(text: str, where: float, what: float) -> str:
    starts = list(_START.finditer(text))
    start = _pick(starts, where) if starts else None
    if start is None:
        return text
    at = start.end() - 1 - len(start[3])
    given = _pick(
        (' xmlns=""', ' note="x"', ' xml:space="preserve"', ' xmlns:p="urn:p"', ' p:a="1" xmlns:p="urn:p"'), what
    )
    return text if given.split("=")[0] in start[2] else text[:at] + given + text[at:]


def _prefixed(text: str, where: float, what: float) -> str:
    if "<q:" in text:
        return text
    text = re.sub(r"<(/?)([A-Za-z])", r"<\1q:\2", text)
    return text.replace("q:SciPipeRequest", 'q:SciPipeRequest xmlns:q="urn:q"', 1)


def _namespaced(text: str, where: float, what: float) -> str:
    return text.replace("<SciPipeRequest>", '<SciPipeRequest xmlns="Alma/pipelinescience/SciPipeRequest">')


def _wrapped_structure(text: str, where: float, what: float) -> str:
    if "AlmaStructure" in text:
        return re.sub(r"</?AlmaStructure[^>]*>", "", text)
    text = re.sub(r"<ProjectStructure[^>]*>", r"\g<0><AlmaStructure>", text)
    return text.replace("</ProjectStructure>", "</AlmaStructure></ProjectStructure>")


def _first_as_reference(said: str, what: float) -> str:
    return f"&#x{ord(said[0]):x};{said[1:]}" if said and said[0] not in "&\n" else said


def _intent(text: str, where: float, what: float) -> str:
    name = _pick(("SPECTRAL_MODE", "SESSION_2", "SESSION_3", "SESSION_1", "1", "Note"), where)
    value = _pick(("True", "False", "true", "Undefined", "1", "0", "", "uid://A002/X1/X2"), what)
    intent = f"<Intents><Keyword>{name}</Keyword><Value>{value}</Value></Intents>"
    return text.replace("</ProcessingIntents>", f"{intent}</ProcessingIntents>")


def _stage(text: str, where: float, what: float) -> str:
    name = _pick(("breakpoint", "hifv_hanning", "hifv_exportdata", "hifa_exportdata", "hif_noSuchTask"), what)
    begins = [found.start() for found in re.finditer("<ProcessingCommand>", text)] or [0]
    at = _pick(begins, where)
    return f"{text[:at]}<ProcessingCommand><Command>{name}</Command><ParameterSet/></ProcessingCommand>{text[at:]}"


def _encoded(text: str, what: float) -> bytes:
    encoding = _pick(_ENCODINGS, what)
    declared = re.sub(
        r'encoding="[^"]*"',
        f'encoding="{encoding.removesuffix(chr(45) + "sig").removesuffix(chr(45) + "le")}"',
        text,
        count=1,
    )
    return declared.encode(encoding, "xmlcharrefreplace")


#: What neither a person nor the pipeline sees, by name.
HARMLESS: dict[str, Callable[[str, float, float], str]] = {
    "a comment between elements": _between(_COMMENT),
    "an instruction between elements": _between(_INSTRUCTION),
    "blanks between elements": _between("\n\n   \t"),
    "an attribute": _attribute,
    "a prefix": _prefixed,
    "a namespace": _namespaced,
    "a character as a reference": _in_leaf(_first_as_reference),
    "an empty CDATA section in a text": lambda text, where, _: _at_leaf(
        text, where, lambda tag, given, said: f"<{tag}{given}>{said[:1]}{'<![CDATA[]]>' * bool(said)}{said[1:]}</{tag}>"
    ),
    "the other form of the structure": _wrapped_structure,
    "other line ends": lambda text, _where, _what: text.replace("\n", "\r\n"),
}

#: What may change what the pipeline reads.
HARMFUL: dict[str, Callable[[str, float, float], str]] = {
    "a comment in a text": _in_leaf(_insert(_COMMENT)),
    "an instruction in a text": _in_leaf(_insert(_INSTRUCTION)),
    "a child element in a text": _in_leaf(_insert("<b>x</b>")),
    "a CDATA section": _in_leaf(lambda said, what: f"<![CDATA[{said}]]>" if what < 0.5 else f"{said}<![CDATA[x]]>"),
    "a blank in a text": lambda text, where, what: _in_leaf(_insert(_pick(_BLANKS, what)))(
        text, where, (where * 997) % 1
    ),
    "an entity in a text": _in_leaf(lambda said, what: said + _pick(("&amp;", "&lt;", "&#0;", "&#xa0;", "&x;"), what)),
    "another text": _in_leaf(lambda _, what: _pick(_VALUES, what).replace("&", "&amp;")),
    "a text in other case": _in_leaf(lambda said, what: _pick((said.swapcase(), said.upper(), said.title()), what)),
    "a character less": _in_leaf(lambda said, what: said[: int(what * len(said))] + said[int(what * len(said)) + 1 :]),
    "twice": _at_element(lambda element, _: element * 2),
    "gone": _at_element(lambda _element, _: ""),
    "commented out": _at_element(lambda element, _: f"<!--{element.replace('--', '- -')}-->"),
    "renamed": _at_element(_renamed),
    "in another element": _at_element(lambda element, what: f"<{_pick(_TAGS, what)}>{element}</{_pick(_TAGS, what)}>"),
    "moved": _moved,
    "text between elements": _between("see below"),
    "an intent more": _intent,
    "a stage more": _stage,
    "another relation of the MOUS": lambda text, _, what: text.replace(
        "entityId=", _pick(("EntityId=", "p:entityId=", "entityId =", "id=", 'partId="007" entityId='), what), 1
    ),
}

#: What is done to the whole file in the end.
DOCUMENT: dict[str, Callable[[str, float], bytes]] = {
    "another encoding": _encoded,
    "a byte order mark": lambda text, _: codecs.BOM_UTF8 + text.encode(),
    "a document type": lambda text, _: text.replace("<SciPipeRequest", "<!DOCTYPE r><SciPipeRequest", 1).encode(),
    "no declaration": lambda text, _: re.sub(r"^<\?xml[^>]*\?>\n?", "", text).encode(),
    "something behind": lambda text, what: (text + _pick(("\n<!-- end -->", "x", "<a/>", "\x00"), what)).encode(),
    "cut off": lambda text, what: text.encode()[: int(what * len(text))],
}
