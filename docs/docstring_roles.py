"""For the API reference: turns the roles of reStructuredText in docstrings into links into the library."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:py:)?(?:attr|class|data|exc|func|meth|mod|obj):`(~?)([\w.]+)`")


def _link(role: re.Match[str]) -> str:
    short, name = role.groups()
    shown = f"<code>{name.rpartition('.')[2] if short else name}</code>"
    return f'<autoref identifier="{name}" optional>{shown}</autoref>' if name.startswith("srdp.") else shown


class DocstringRoles(griffe.Extension):
    """Rewrites each docstring before it is rendered as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401  the interface's own
        """Rewrite the roles in the docstring of one module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)
