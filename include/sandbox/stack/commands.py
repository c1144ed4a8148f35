"""The commands behind ``make demo``, ``make stop`` and all else that the Makefile asks of the stack."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from sandbox.alma_observation.facts import request_for
from sandbox.making import MOUS, UNDAMAGED, Made
from sandbox.stack import environment as variables
from sandbox.stack.credentials import USER
from sandbox.stack.instance import HOME, Instance
from sandbox.stack.observing import make_observation, observe_blocks, observe_mous
from sandbox.stack.ports import PREFIX, Ports
from sandbox.stack.progress import Ledger, follow, wait_for_run, wait_for_watch
from srdp.domain.casa.log import describe_stage, find_casa_log, running_stage
from srdp.domain.common.errors import SrdpError
from srdp.domain.ppr.document import read_processing_request
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA, Family, family_of_run

# SRDP_DEMO_FOLDER is for a second demo beside the first, and for tests.
ROOT = Path(os.environ.get("SRDP_DEMO_FOLDER") or HOME / ".demo").absolute()
_CAUSED_SECONDS = 60.0
_CALIBRATED_SECONDS = 1800.0
_MOST_OBSERVATIONS = 100
_MOST_RUNS = 500


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _arguments(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt_once)
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "demo": _demo,
        "demo-alma": _demo_alma,
        "stop": _stop,
        "clean": _clean,
        "status": _status,
        "observe": _observe,
        "check": _check,
        "health": _health,
    }
    try:
        return commands[options.command](options)
    except SrdpError as problem:
        _complain(str(problem))
        return 1
    except KeyboardInterrupt:
        _complain("Interrupted.")
        return 130


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make", description="The embedded observatory with Airflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("demo", "demo-alma", "stop", "clean", "status", "check", "health"):
        commands.add_parser(name)
    observe = commands.add_parser("observe")
    observe.add_argument("--count", type=_count, default=1)
    observe.add_argument("--damaged", action="store_true")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not (re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= _MOST_OBSERVATIONS):
        raise argparse.ArgumentTypeError(f"N is a number from 1 to {_MOST_OBSERVATIONS}, for example N=3")
    return int(text)


def _instance() -> Instance:
    """The demo's instance: where it runs already, or where the environment wants it."""
    overrides = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("SRDP_") and not name.startswith(PREFIX) and value
    }
    wanted = Ports.from_environment()
    running = Ports.recorded(ROOT)
    instance = Instance(ROOT, ports=running or wanted, overrides=overrides, report=_print_line)
    if running and running != wanted and instance.is_up():
        if any(name.startswith(PREFIX) for name in os.environ):
            _print_line(
                "The demo runs already, on the ports that it was started with; `make stop` first to change them."
            )
        return instance
    return Instance(ROOT, ports=wanted, overrides=overrides, report=_print_line)


def _ledger(instance: Instance) -> Ledger:
    return Ledger(instance.postgres.url(variables.LEDGER), HOME / "include" / "sql")


def _demo(_options: argparse.Namespace) -> int:
    return _show(VLA, UNDAMAGED, _observe_a_block)


def _demo_alma(_options: argparse.Namespace) -> int:
    return _show(ALMA, MOUS, _ask_for_images)


def _show(family: Family, observation: Made, begin: Callable[[Instance], str]) -> int:
    """Brings everything up and follows the newest run of a family, which it begins if there is none."""
    instance = _instance()
    began = time.monotonic()
    was_up = instance.is_up()
    try:
        if _up(instance, observation):
            _print_line(f"Everything is up after {time.monotonic() - began:.0f} s.")
        newest = next((run for run in _ledger(instance).runs(_MOST_RUNS) if run["kind"] == family.kind), None)
        subject = begin(instance) if newest is None else str(newest["subject"])
        _print_line(f"{family.subject} {subject}:")
        run = _follow(instance, subject)
    except KeyboardInterrupt:
        if not was_up:
            _complain("Interrupted: stopping what was started ...")
            instance.down()
        raise
    _say_where(instance, run)
    return 1 if run["state"] in (RunState.FAILED, RunState.CANCELLED) else 0


def _up(instance: Instance, observation: Made) -> bool:
    """Brings everything up and makes the observation meanwhile; returns whether anything had to be started."""
    with ThreadPoolExecutor(max_workers=1) as one:
        # If it cannot be made, that is reported when it is to be ingested.
        return instance.up(beside=lambda: one.submit(make_observation, instance, observation, report=_print_line))


def _observe_a_block(instance: Instance) -> str:
    """Observes one execution block, which is calibrated by itself; returns its name."""
    ledger = _ledger(instance)
    wait_for_watch(ledger, timeout=_CAUSED_SECONDS)
    (block,) = observe_blocks(instance, report=_print_line)
    wait_for_run(ledger, block.name, dag="watch_observations", timeout=_CAUSED_SECONDS)
    return block.name


def _ask_for_images(instance: Instance) -> str:
    """Ingests one MOUS and asks for images of it, as a user's request to the archive does; returns its UID."""
    airflow = instance.airflow_api()
    airflow.wait_for_dag(ALMA.kind)
    (mous,) = observe_mous(instance, report=_print_line)
    _print_line("A user asks for an image of the continuum and a cube of the line CO(2-1) ...")
    airflow.trigger(ALMA.kind, request_for(mous.uid))
    wait_for_run(_ledger(instance), mous.uid, dag=ALMA.kind, timeout=_CAUSED_SECONDS)
    return mous.uid


def _follow(instance: Instance, subject: str) -> dict[str, Any]:
    return follow(
        _ledger(instance),
        subject,
        report=_print_line,
        casa_says=lambda run_id: _casa_says(instance, run_id),
        timeout=_CALIBRATED_SECONDS,
    )


def _casa_says(instance: Instance, pipeline_run_id: str) -> str:
    """The stage that runs, as CASA's log says."""
    family, areas = family_of_run(PipelineRunId(pipeline_run_id)), instance.places.areas
    run = RunDirectory(areas.get(f"{family.name}_processing", areas["processing"]) / pipeline_run_id)
    try:
        log = find_casa_log(run)
        commands = read_processing_request(run).commands
        stage = running_stage(run.root, log) if log else None
    except (OSError, SrdpError):
        return ""
    return f"CASA: {describe_stage(stage, commands)}" if stage else ""


def _say_where(instance: Instance, run: dict[str, Any]) -> None:
    run_id, state = run["pipeline_run_id"], str(run["state"]).replace("_", " ")
    password = instance.secrets.airflow_password
    lines = ["", f"Pipeline run {run_id} of {run['subject']}: {state}."]
    if run["state"] in (RunState.FAILED, RunState.CANCELLED):
        lines.append(f"Cause: {run['failure'] or 'see its events in the ledger'}")
    elif run["lowest_score"] is not None:
        lines.append(f"Lowest QA score: {run['lowest_score']:.2f}")
    lines += [
        "",
        f"  Airflow     {instance.airflow_url}   user {USER}   password {password}",
        f"  this run    {instance.airflow_url}/dags/{run['dag_id']}/runs/{run['dag_run_id']}",
        f"  mail box    {instance.mail_url}",
        f"  its files   http://127.0.0.1:{instance.ports.run_files}/{run_id}/",
    ]
    weblog = _weblog(instance, run_id)
    if weblog:
        lines.append(f"  weblog      {weblog}")
    lines += [
        "",
        "Next: read the mail and follow its links, or open this run in Airflow and click through its steps.",
        "More observations of the VLA: `make observe N=3`; one with a damaged antenna: `make observe DAMAGED=1`.",
        "A calibration of VLA data, from its ingestion on: `make demo`."
        if family_of_run(PipelineRunId(run_id)).asked_by_users
        else "Images of ALMA data, as a user asks for them: `make demo-alma`.",
        "`make status` shows all runs, `make stop` stops everything, `make clean` forgets the data.",
    ]
    for line in lines:
        _print_line(line)


def _weblog(instance: Instance, pipeline_run_id: str) -> str:
    for area in instance.places.areas.values():
        root = area / pipeline_run_id
        for front_page in sorted(root.glob("working/pipeline-*/html/index.html"), reverse=True):
            folder = front_page.parent.relative_to(root)
            return f"http://127.0.0.1:{instance.ports.run_files}/{pipeline_run_id}/{folder}/"
    return ""


def _stop(_options: argparse.Namespace) -> int:
    _stopped(_instance())
    return 0


def _stopped(instance: Instance) -> None:
    if instance.down():
        _print_line("Stopped.")
    else:
        _print_line("Nothing of the demo was running.")


def _clean(_options: argparse.Namespace) -> int:
    _stopped(_instance())
    shutil.rmtree(ROOT, ignore_errors=True)
    if ROOT.exists():
        _complain(f"{ROOT} could not be removed whole: look at who owns what is left in it.")
        return 1
    _print_line("Its data are gone.")
    return 0


def _status(_options: argparse.Namespace) -> int:
    instance = _instance()
    if not instance.is_up():
        _print_line("The demo is down: `make demo` brings it up.")
        return 1
    states = instance.states()
    for name, state in states.items():
        _print_line(f"{name:15s} {state.lower():10s} {instance.process(name) or ''}")
    _print_line("")
    ledger = _ledger(instance)
    notes = {**ledger.reviewers(), **ledger.casa_queue()}
    for run in ledger.runs(20):
        note = notes.get(run["pipeline_run_id"], "")
        _print_line(f"{run['pipeline_run_id']}  {run['state']:12s}  {run['subject']}  {note}".rstrip())
    return 0 if set(states.values()) == {"RUNNING"} else 1


def _observe(options: argparse.Namespace) -> int:
    instance = _instance()
    if not instance.is_up():
        _complain("The demo is down: `make demo` brings it up.")
        return 1
    for block in observe_blocks(instance, count=options.count, damaged=options.damaged, report=_print_line):
        _print_line(f"Observed {block.name}")
    _print_line(f"Each is calibrated by itself; see {instance.airflow_url} and `make status`.")
    return 0


def _check(_options: argparse.Namespace) -> int:
    """Check the demo's settings if it runs, else those of the environment: what production calls as well."""
    instance = _instance()
    environment = dict(os.environ)
    if "SRDP_HOME" not in os.environ:
        if not instance.is_up():
            _complain(
                "The demo is down and no settings are in the environment: `make demo` brings it up; for another "
                "installation set the variables of docs/settings.md first."
            )
            return 1
        environment = instance.environment()
    environment["PYTHONPATH"] = str(HOME / "plugins")
    return subprocess.run([sys.executable, "-m", "srdp.check"], env=environment, check=False).returncode


def _health(_options: argparse.Namespace) -> int:
    """Report whether the demo's workflows are alive, as for a monitoring system."""
    instance = _instance()
    if not instance.is_up():
        _complain("The demo is down: `make demo` brings it up.")
        return 1
    return subprocess.run([HOME / "bin" / "srdp-health"], env=instance.environment_of_health(), check=False).returncode


def _interrupt_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """The first Ctrl-C, SIGTERM or SIGHUP interrupts; those that follow must not interrupt the tidying up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _print_line(line: str) -> None:
    # Whoever reads may be gone (`make demo | head`): that is no reason to stop half-way.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


def _complain(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)
