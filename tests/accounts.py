"""Three real accounts of this machine, for as long as a test needs them: service, pipeline and data analyst.

They take root, `sudo` and `useradd`. What is done under one of them is done in a process of its own, which has left
root's rights behind. The lines of sudoers are those of ``docs/operator/accounts-and-areas.md``.
"""

from __future__ import annotations

import encodings.ascii  # noqa: F401  a process that has left root's rights behind may not be able to read it any more
import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from srdp.engines import processes

_PROJECT = Path(__file__).parents[1]
_SUDOERS = Path("/etc/sudoers.d")


@dataclass(frozen=True)
class Accounts:
    """The accounts, and a folder of root's that all of them may pass through."""

    service: str
    pipeline: str
    analyst: str
    group: str
    folder: Path

    @property
    def rules(self) -> Path:
        """The file that lets the service run something as the pipeline."""
        return _SUDOERS / self.group

    def allow(self) -> None:
        """Let the service's account do what accounts-and-areas.md says that it may."""
        (lines,) = re.findall(
            r"# /etc/sudoers\.d/srdp, mode 0440\n((?:    .*\n)+)",
            (_PROJECT / "docs" / "operator" / "accounts-and-areas.md").read_text(),
        )
        rules = lines.replace("airflow", self.service).replace("casapipe", self.pipeline)
        # sudo does not read names with a dot: there is never half a file.
        draft = self.rules.with_name(f".{self.group}.draft")
        draft.write_text("".join(f"{line.strip()}\n" for line in rules.splitlines()))
        draft.chmod(0o440)
        draft.replace(self.rules)

    def forbid(self) -> None:
        self.rules.unlink(missing_ok=True)

    def area(self, name: str, mode: int, group: str | None = None) -> Path:
        """Make an area that belongs to the service."""
        area = self.folder / name
        area.mkdir()
        shutil.chown(area, self.service, group or self.service)
        area.chmod(mode)
        return area


def missing() -> str:
    """Why there cannot be three accounts here; empty if there can."""
    if os.geteuid() != 0:
        return "only root can make three accounts"
    for program in ("sudo", "useradd", "groupadd", "userdel", "groupdel"):
        if shutil.which(program) is None:
            return f"there is no {program} here, which three accounts need"
    if not os.access(_SUDOERS, os.W_OK):
        return f"{_SUDOERS} cannot be written, which three accounts need"
    return "" if runnable_python() else "no Python 3.11 or newer here can be run by another account than root"


def runnable_python() -> str | None:
    """A Python that every account may run; root's own may be in root's home."""
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(command, user="nobody", cwd="/", capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    return None


@contextmanager
def three_accounts() -> Iterator[Accounts]:
    """Make the accounts and their group, and remove them afterwards with all that they have left."""
    number = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="srdp-accounts-"))
    folder.chmod(0o755)
    names = (f"srdpsvc{number}", f"srdppipe{number}", f"srdpdata{number}")
    accounts = Accounts(*names, group=f"srdpgrp{number}", folder=folder)
    python = runnable_python()
    assert python
    with pytest.MonkeyPatch.context() as patch:
        # The accounts may not be able to read the project where it is.
        shutil.copytree(_PROJECT / "plugins" / "srdp", folder / "plugins" / "srdp")
        patch.setattr(processes, "_PLUGINS", folder / "plugins")
        patch.setattr(sys, "executable", python)
        try:
            subprocess.run(["groupadd", accounts.group], check=True)
            for name in names:
                home = folder / name
                subprocess.run(
                    ["useradd", "--create-home", "--home-dir", home, "--groups", accounts.group, name],
                    check=True, capture_output=True,
                )  # fmt: skip
                home.chmod(0o700)
            accounts.allow()
            yield accounts
        finally:
            accounts.forbid()
            for name in names:
                subprocess.run(["userdel", "--force", name], check=False, capture_output=True)
            subprocess.run(["groupdel", accounts.group], check=False, capture_output=True)
            shutil.rmtree(folder)


def done_as(account: str, act: Callable[[], Any], *, umask: int = 0o022) -> Any:
    """Do something under an account, in a process of its own; what it returns must be JSON."""
    reading, writing = os.pipe()
    entry = pwd.getpwnam(account)
    if (child := os.fork()) == 0:
        try:
            os.close(reading)
            os.initgroups(account, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.umask(umask)
            os.chdir("/")
            os.environ.update(HOME=entry.pw_dir, USER=account, LOGNAME=account)
            answer = {"returned": act()}
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            answer = {"raised": traceback.format_exc()}
        with os.fdopen(writing, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = json.load(stream)
    os.waitpid(child, 0)
    assert "raised" not in answer, answer["raised"]
    return answer["returned"]


def owner_and_mode(path: Path) -> str:
    """For example ``airflow:srdp 2775``."""
    found = path.lstat()
    owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    return f"{owner}:{group} {found.st_mode & 0o7777:04o}"
