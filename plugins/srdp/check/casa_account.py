"""Whether CASA can be run under the account of ``SRDP_CASA_ACCOUNT``, as a run is."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from srdp.domain.common.errors import SettingsError, quoted
from srdp.domain.disk.group_rights import share_folder
from srdp.engines.account import Agent, open_up_as

if TYPE_CHECKING:
    from srdp.settings import Settings

_GRACE_SECONDS = 2.0


def run_as(
    settings: Settings, account: str, command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> tuple[int, str, str]:
    """Run a program under another account, in a folder that is made in the processing area as a run's ``working/`` is.

    Args:
        settings: the areas and the group.
        account: the account.
        command: the program and its arguments.
        environment: what it finds in its environment.
        seconds: how long it may take; then it is ended.

    Returns:
        Its exit status, its standard output and its standard error.

    Raises:
        SettingsError: sudo does not allow it, or the account cannot do what CASA does.
        subprocess.TimeoutExpired: it did not end in time.
    """
    _check_account(settings, account)
    with _working(settings, account) as working:
        code, _, output = _run(account, ("touch", "written"), {"PATH": os.defpath}, working, seconds)
        if code:
            raise SettingsError(
                f"{account} cannot write into a run's working/ in {settings.processing_area}, it said "
                f"{quoted(output.strip(), 300)}: set SRDP_ANALYSTS_GROUP to a group that {account} and the account of "
                "Airflow's workers are members of."
            )
        done = _run(account, command, environment, working, seconds)
        open_up_as(account, working.parent)
    return done


def _run(
    account: str, command: Sequence[str], environment: Mapping[str, str], working: Path, seconds: float
) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        agent = Agent(account, working)
        try:
            streams = (stdout.fileno(), stderr.fileno())
            agent.launch(command, str(working), environment, _GRACE_SECONDS, streams)
            code = agent.process.wait(seconds)
            fault = agent.fault()
        finally:
            agent.close()
        if fault:
            raise SettingsError(f"{command[0]} could not be started under the account {account}: {fault}.")
        return code, _text(stdout), _text(stderr)


def _check_account(settings: Settings, account: str) -> None:
    if pwd.getpwuid(os.geteuid()).pw_name == account:
        raise SettingsError(
            f"SRDP_CASA_ACCOUNT is {account}, the account of Airflow's workers itself: give CASA an account of its own."
        )
    if not settings.spool_area.stat().st_mode & stat.S_IXOTH:
        raise SettingsError(
            f"{account} cannot pass through {settings.spool_area} to a run's directory: let it, with chmod 0711."
        )


@contextmanager
def _working(settings: Settings, account: str) -> Iterator[Path]:
    """Make a folder as a run's ``working/``, and remove what the account leaves there, as a cleanup has to."""
    root = Path(tempfile.mkdtemp(prefix=".check-", dir=settings.processing_area))
    working = root / "working"
    try:
        working.mkdir()
        root.chmod(0o755)
        if settings.analysts_group is not None:
            share_folder(root, settings.analysts_group, writes=False)
            share_folder(working, settings.analysts_group, writes=True)
        yield working
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(root)
        raise
    try:
        shutil.rmtree(root)
    except OSError as error:
        raise SettingsError(
            f"What {account} writes into a run's directory cannot be removed by this account ({error}): see the "
            "accounts of the machine in docs/operator/accounts-and-areas.md."
        ) from None


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
