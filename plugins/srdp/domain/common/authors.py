"""Who did something: the user whom Airflow has authenticated, and the person named in a form."""

from __future__ import annotations


def is_same_person(login: str, named: str) -> bool:
    """Whether a name, a login or a mail address is that of a login: the same, or the same before the ``@`` of one.

    Args:
        login: as Airflow has authenticated it.
        named: as a form or the settings name somebody.
    """
    ours, theirs = login.strip().casefold(), named.strip().casefold()
    return ours == theirs or ours == theirs.partition("@")[0] or ours.partition("@")[0] == theirs


def on_behalf(login: str, named: str) -> str:
    """Return who did something, and for whom if the form names somebody else: ``jdoe``, or ``jdoe for Jane Doe``.

    Args:
        login: as Airflow has authenticated it.
        named: whom the form names; empty if nobody.
    """
    return login if not named or is_same_person(login, named) else f"{login} for {named}"
