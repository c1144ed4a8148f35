"""The names of ALMA's sources: as the archive has them, and as the pipeline writes them into the names of images."""

from __future__ import annotations

import re

from srdp.domain.analyst_files.selections.fields import field_selection
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.pipeline_values import cast_text

_LONGEST_FIELD = 64
# What the pipeline takes off a name, or what CASA does not select by a name even in quotes.
_NOT_IN_A_FIELD = re.compile(r"[^ -~]|[\"\\\[\]{}<>]")


def field_name(value: object) -> str:
    """Return the value as the name of an ALMA source, as the archive has it: ``TW Hya``, ``W3(OH)``, ``helm=30``.

    In the PPR it is quoted where it must be, see :func:`srdp.domain.analyst_files.selections.fields.field_selection`.

    Raises:
        InvalidInput: it is no text of 1 to 64 printable ASCII characters, or the pipeline would select something else.
    """
    name = value.strip(" \t") if isinstance(value, str) else ""
    if len(name) > 1 and name[0] == name[-1] == '"':  # as people write it for CASA
        name = name[1:-1].strip(" \t")
    if not isinstance(value, str) or not 0 < len(name) <= _LONGEST_FIELD or not re.search("[A-Za-z0-9]", name):
        raise InvalidInput(
            f"{quoted(value)} is not the name of a field: write it as the archive shows it, of at most "
            f"{_LONGEST_FIELD} characters."
        )
    if odd := _NOT_IN_A_FIELD.search(name):
        raise InvalidInput(
            f"The field {quoted(name)} has a {quoted(odd[0])} in its name, with which CASA does not select it: image "
            "it by hand."
        )
    cast = cast_text(name)
    if isinstance(cast, bool | float) or str(cast) != name or name == "None":
        raise InvalidInput(
            f"The field {quoted(name)} would reach the pipeline as something else than this name: image it by hand."
        )
    return name


def field_in_image_names(name: str) -> str:
    """Return a field's name as the pipeline writes it in the names of images: ``"TW Hya"`` as ``_TW_Hya_``.

    It puts quotes around a name with other characters than letters, digits, ``+``, ``-`` and ``_``, or of digits alone
    (``utils.fieldname_for_casa``), and then an underscore in the place of each character that it does not want in the
    name of a file (``filenamer.sanitize``).

    Args:
        name: from :func:`field_name`.
    """
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", field_selection(name))
