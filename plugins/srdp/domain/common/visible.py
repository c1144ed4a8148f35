"""Text whose hidden characters are shown: those without width, and those that turn the direction of text around."""

from __future__ import annotations

import re
from typing import Final

# Unicode's property Default_Ignorable_Code_Point, which holds every direction mark and every character without width;
# the separators that some programs take for the end of a line; and the marks of an annotation, which are not shown.
_HIDDEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Return hostile text with its hidden characters written out, ``\u202e``; all others stay, of whatever language.

    Two names that look alike are then alike, and what is read is in the order in which it stands there.

    Args:
        text: anything that came from outside.
    """
    return _HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)
