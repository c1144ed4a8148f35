"""A large JSON document, read as it comes: nothing of it is held but what the reader makes of it.

The library's own reader wants all of a document as text and gives all of it as dictionaries, which is ten times as much
as a report of many files means. This one reads a document that is an object, and in it the elements of one array one
after the other. Each value is read by the library.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator

from srdp.domain.common.errors import InvalidInput

#: No element of the array and no other value is longer, in characters.
LONGEST_VALUE = 1 << 16

_BLOCK_BYTES = 1 << 20
_BLANKS = re.compile(r"[ \t\r\n]*")
_NO_JSON = "it is not a JSON object"


def in_blocks(content: bytes) -> Iterator[bytes]:
    """Yield a document that is here already in blocks."""
    return (content[start : start + _BLOCK_BYTES] for start in range(0, len(content), _BLOCK_BYTES))


def read_object(blocks: Iterable[bytes], array: str, take: Callable[[object], None]) -> dict[str, object]:
    """Read a document and return its members, without the array.

    Args:
        blocks: the document, in UTF-8.
        array: the member that is an array; if it is something else, it is returned with the others.
        take: receives each of its elements.

    Raises:
        InvalidInput: it is not a JSON object, or a value is longer than :data:`LONGEST_VALUE`; a part of a sentence.
    """
    text = _Text(blocks)
    members: dict[str, object] = {}
    text.expect("{")
    if not text.comes("}"):
        while True:
            name = text.value()
            text.expect(":")
            if not isinstance(name, str) or name in members:
                raise InvalidInput(_NO_JSON)
            members[name] = _elements(text, take) if name == array and text.comes("[") else text.value()
            if not text.comes(","):
                break
        text.expect("}")
    text.must_end()
    if members.get(array) is _TAKEN:
        del members[array]
    return members


_TAKEN = object()


def _elements(text: _Text, take: Callable[[object], None]) -> object:
    if not text.comes("]"):
        take(text.value())
        while text.comes(","):
            take(text.value())
        text.expect("]")
    return _TAKEN


class _Text:
    """The text at the place that was reached, with as much after it as a value may have."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._bytes_to_text = codecs.getincrementaldecoder("utf-8")()
        self._value = json.JSONDecoder().raw_decode
        self._text = ""
        self._place = 0
        self._ended = False

    def value(self) -> object:
        self._next()
        try:
            value, end = self._value(self._text, self._place)
        except (ValueError, RecursionError):
            end = len(self._text)
            if not self._ended and end - self._place > LONGEST_VALUE:
                raise InvalidInput(_too_long()) from None
            raise InvalidInput(_NO_JSON) from None
        if end - self._place > LONGEST_VALUE:
            raise InvalidInput(_too_long())
        self._place = end
        return value

    def comes(self, sign: str) -> bool:
        """Whether this sign comes next; then it is passed."""
        found = self._next() == sign
        self._place += found
        return found

    def expect(self, sign: str) -> None:
        if not self.comes(sign):
            raise InvalidInput(_NO_JSON)

    def must_end(self) -> None:
        if self._next():
            raise InvalidInput(_NO_JSON)

    def _next(self) -> str:
        """Return the next character that is no blank, with a whole value from there on; none at the end."""
        while True:
            self._place = _BLANKS.match(self._text, self._place).end()  # type: ignore[union-attr]  # also where none is
            if self._ended or len(self._text) - self._place > LONGEST_VALUE:
                return self._text[self._place : self._place + 1]
            self._read()

    def _read(self) -> None:
        """Read until a value must be here whole."""
        pieces = [self._text[self._place :]]
        length = len(pieces[0])
        while not self._ended and length <= LONGEST_VALUE:
            block = next(self._blocks, None)
            self._ended = block is None
            try:
                pieces.append(self._bytes_to_text.decode(block or b"", final=self._ended))
            except UnicodeDecodeError:
                raise InvalidInput(_NO_JSON) from None
            length += len(pieces[-1])
        self._text, self._place = "".join(pieces), 0


def _too_long() -> str:
    return f"a value in it has more than {LONGEST_VALUE} characters"
