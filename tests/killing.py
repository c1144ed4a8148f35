"""Runs a function in a process of its own and kills it with SIGKILL at its n-th file operation."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

_FILE_OPERATIONS = {
    "open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.utime",
    "os.truncate", "os.listdir", "os.scandir", "shutil.copyfile", "shutil.rmtree",
}  # fmt: skip


def killed_at_each_file_operation(prepare: Callable[[], None], act: Callable[[], object]) -> Iterator[int]:
    """Prepares, acts and is killed: at the first file operation, then at the second, until nothing is left to kill.

    Yields the number of the operation after each kill, so that the caller can look at what is left, repeat the act
    and compare. The last, unkilled round is not yielded.
    """
    number = 0
    while True:
        number += 1
        prepare()
        if not _killed(act, number):
            return
        yield number


def _killed(act: Callable[[], object], number: int) -> bool:
    child = os.fork()
    if child == 0:
        count = 0

        def kill_at_the_operation(event: str, _arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in _FILE_OPERATIONS:
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(kill_at_the_operation)
            act()
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the act failed by itself when it was to be killed at operation {number}"
    return False
