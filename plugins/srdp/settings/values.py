"""The kinds of values that settings have, and the parser of each."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_T = TypeVar("_T")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"must be an absolute path, not {str(path)!r}")
    return path


def split_commas(value: object) -> object:
    """Return the parts of a text between commas, without blanks and empty parts; anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def each_once(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return the values without repetitions."""
    return tuple(dict.fromkeys(values))


def weblog_template(template: str) -> str:
    """Return the value as an address with the fields of a weblog in braces."""
    try:
        filled = {template.format(pipeline_run_id=name, weblog=name) for name in ("a", "b")}
    except (AttributeError, IndexError, KeyError, ValueError):
        filled = set()
    if len(filled) != 2:
        raise ValueError("must hold {pipeline_run_id} and may hold {weblog}, and nothing else in braces")
    return template


def date_or_nothing(text: str) -> str:
    """Return the value as a date, ``YYYY-MM-DD``, or as an empty text."""
    if text:
        date.fromisoformat(text)
    return text


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", max_length=254)]
OptionalAddresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(split_commas), AfterValidator(each_once)]
Addresses = Annotated[OptionalAddresses, Field(min_length=1)]
Domain = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$", max_length=253)]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
MimeType = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}/[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}$")]
Release = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
Status = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z ]{0,63}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$")]


class SettingsGroup(BaseSettings):
    """Settings that belong together; each attribute's description is its line in ``docs/settings.md``.

    Attributes:
        TITLE: the heading above them there.
    """

    model_config = SettingsConfigDict(env_prefix="SRDP_", env_nested_delimiter="__", extra="ignore", frozen=True)

    TITLE: ClassVar[str]
