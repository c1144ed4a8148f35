"""``python -m compose.make_secrets``: fills ``.env`` with generated secrets; needs nothing but Python.

A line of ``.env.example`` that ends in ``# generated`` gets a secret of its own. Whatever has a value in ``.env`` keeps
it, so that the command may be repeated, and after an upgrade adds what is new.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
_MARK = "# generated"
_FERNET = "AIRFLOW_FERNET_KEY"


def main() -> int:
    """Write ``.env``; return 0."""
    example, target = _PROJECT / ".env.example", _PROJECT / ".env"
    present = target.read_text(encoding="utf-8") if target.exists() else ""
    text, made = filled(example.read_text(encoding="utf-8"), present)
    if text != present:
        _write(target, text)
    target.chmod(0o600)
    print(f"{target}: {', '.join(made) + ' generated' if made else 'every secret is there already'}.")
    return 0


def filled(example: str, present: str) -> tuple[str, list[str]]:
    """Return the text of ``.env``, and the names of the secrets that were generated for it.

    Args:
        example: the text of ``.env.example``.
        present: the text of ``.env`` as it is; nothing if there is none.
    """
    wanted = {match["name"]: match["value"] for match in map(_LINE.fullmatch, example.splitlines()) if match}
    lines = present.splitlines() if present else example.splitlines()
    there = {match["name"] for match in map(_LINE.fullmatch, lines) if match}
    lines += [f"{name}={value}" for name, value in wanted.items() if name not in there]
    made = []
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if match and _MARK in wanted.get(match["name"], "") and not match["value"].partition("#")[0].strip():
            lines[number] = f"{match['name']}={_secret(match['name'])}"
            made.append(match["name"])
    return "\n".join(lines) + "\n", made


def _secret(name: str) -> str:
    if name == _FERNET:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
    # Of letters and digits only: it stands in addresses of databases too.
    return secrets.token_hex(32)


def _write(target: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment, at once or not at all."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".env.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
