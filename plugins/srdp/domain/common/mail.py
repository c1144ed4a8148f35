"""Mails about pipeline runs, from templates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.visible import visible

# RFC 5322 wants lines of a header below 998 characters; a subject that long is of no use.
_LONGEST_SUBJECT = 240
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
# Everything that a terminal or a mail reader may take for a command: all control characters but tab and line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Mail:
    """A mail that may be queued; one that could inject a header cannot be made.

    Attributes:
        key: which of a run's mails it is, for example ``ready_for_review``; a run has each once.
        recipients: addresses, without names.
        subject: one line of printable characters.
        text: the mail as plain text.
        html: the same in HTML.
    """

    key: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str

    def __post_init__(self) -> None:
        """Check what becomes a header.

        Raises:
            InvalidInput: the key, an address or the subject has not the form that it must have.
        """
        if not _KEY.fullmatch(self.key):
            raise InvalidInput(f"{quoted(self.key)} cannot name a mail: use small letters, digits and underscores.")
        if not self.recipients:
            raise InvalidInput(f"The mail {self.key} has no recipient: set who receives it.")
        for address in self.recipients:
            check_address(address, self.key)
        if not self.subject.isprintable() or not self.subject.strip() or len(self.subject) > _LONGEST_SUBJECT:
            raise InvalidInput(
                f"{quoted(self.subject)} cannot be the subject of the mail {self.key}: it must be one line of at most "
                f"{_LONGEST_SUBJECT} printable characters."
            )
        if self.subject != without_encoded_words(self.subject):
            raise InvalidInput(
                f"{quoted(self.subject)} cannot be the subject of the mail {self.key}: Python and mail readers decode "
                "what begins with =? and may find another header in it."
            )


def check_address(address: str, key: str) -> None:
    """Check that a text is a plain mail address.

    Args:
        address: the text.
        key: of the mail that is to go to it or to come from it.

    Raises:
        InvalidInput: it is none.
    """
    if not _ADDRESS.fullmatch(address):
        raise InvalidInput(f"{quoted(address)} is not a mail address: the mail {key} cannot be sent with it.")


def render_mail(templates: Path, name: str, recipients: Sequence[str], context: Mapping[str, Any]) -> Mail:
    """Fill a mail's three templates: ``mail/<name>.subject.txt``, ``.txt`` and ``.html``.

    What the context holds may be hostile: in the HTML it is escaped, in the subject whatever is not printable becomes
    a space and no word is an encoded one, and in the bodies control characters are replaced. Hidden characters are
    written out everywhere, see :func:`srdp.domain.common.visible.visible`.

    Args:
        templates: the folder of templates.
        name: the mail's name, which is also its key.
        recipients: addresses.
        context: what the templates use; one that is missing is an error.

    Returns:
        The mail.

    Raises:
        InvalidInput: a recipient is not an address, or nothing is left of the subject.
    """
    environment = _environment(templates)
    subject, text, html = (
        environment.get_template(f"{name}.{ending}").render(context) for ending in ("subject.txt", "txt", "html")
    )
    line = without_encoded_words(one_line(subject))
    if len(line) > _LONGEST_SUBJECT:
        line = f"{line[: _LONGEST_SUBJECT - 3]}..."
    return Mail(key=name, recipients=tuple(recipients), subject=line, text=_readable(text), html=_readable(html))


def one_line(text: str) -> str:
    """Return hostile text as one line: hidden characters are written out, what else is not printable is one blank."""
    return " ".join("".join(character if character.isprintable() else " " for character in visible(text)).split())


def without_encoded_words(line: str) -> str:
    """Return text for a header in which nothing is an encoded word (RFC 2047), such as ``=?utf-8?q?x=0D=0ABcc:_y?=``.

    Python decodes such a word in a value that is set as a header. Releases before 3.11.10, 3.12.5 and 3.13 then write a
    line end that was in it as it is, so that another header follows (CVE-2024-6923); mail readers show what it hides.

    Args:
        line: the text.
    """
    return line.replace("=?", "= ?")


def compile_templates(templates: Path) -> None:
    """Compile all mails' templates for this process and those that it forks; one that changes is compiled again.

    Args:
        templates: the folder of templates.
    """
    environment = _environment(templates)
    for name in environment.list_templates():
        environment.get_template(name)


@cache
def _environment(templates: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates / "mail"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _readable(body: str) -> str:
    text = visible(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", body.replace("\r\n", "\n")))
    return text.encode("utf-8", "replace").decode()


def unfinished_key(dag_run_id: str, *, is_archived: bool) -> str:
    """Return the key of the mail about a run whose way into the archive a DAG run has left unfinished.

    Args:
        dag_run_id: the DAG run with the failed step; it has one such mail.
        is_archived: False if the archive's database could not be asked whether it has the run's products.
    """
    about = hashlib.sha256(dag_run_id.encode()).hexdigest()[:16]
    return f"{'archived_unfinished' if is_archived else 'ingest_unsure'}_{about}"
