"""``srdp-health``: says from outside Airflow whether the workflows are alive.

``python -m srdp.health`` prints one line for each finding, the worst first, and ends as monitoring plugins do: 0 if all
is right, 1 for what is to be looked at, 2 for what is stuck. It is for cron, systemd and containers' health checks.
"""

from __future__ import annotations

import argparse
import os
import sys

_SECONDS = 10.0
_OK, _WARNING, _CRITICAL = range(3)
_LEVELS = ("OK", "WARNING", "CRITICAL")


def main(arguments: list[str] | None = None) -> int:
    """Look at everything and print what was found; return the exit code."""
    parser = argparse.ArgumentParser(prog="srdp-health", description="Say whether the workflows are alive.")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long each answer may take (default: 10)")
    parser.add_argument("--quiet", action="store_true", help="print only what is wrong")
    options = parser.parse_args(arguments)
    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from srdp.check.concurrently import findings
    from srdp.check.life import WARNINGS, checks
    from srdp.domain.common.errors import SettingsError
    from srdp.settings import load_settings

    try:
        settings = load_settings()
    except SettingsError as problem:
        print(f"CRITICAL  settings: {problem}")
        return _CRITICAL
    levels = []
    lines = []
    for found in findings(list(checks(settings, options.seconds))):
        level = _OK if found.is_right else _WARNING if found.name in WARNINGS else _CRITICAL
        levels.append(level)
        if level or not options.quiet:
            lines.append((-level, f"{_LEVELS[level]:8s}  {found.name}: {found.sentence}"))
    for _level, line in sorted(lines):
        print(line)
    return max(levels)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not through the interpreter's end, which waits for what waits for a system that hangs.
    os._exit(code)
