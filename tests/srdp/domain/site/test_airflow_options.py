"""The one file of Airflow's options: what stands in it, and that nobody has options of their own beside it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from airflow.configuration import conf
from airflow.jobs import scheduler_job_runner

from srdp.domain.common.errors import SettingsError
from srdp.domain.site.airflow_options import FILE, different, read_options

ROOT = Path(__file__).parents[4]
OPTIONS = read_options(ROOT / FILE)

# Who names an option beside the file, and why that must be. In tests any option counts, elsewhere those of the file.
NAMED_ELSEWHERE = {
    "docker-compose.yaml": "has workers of its own, and so another executor",
    "plugins/srdp/executors/local.py": "says how it is chosen",
    "tests/sandbox/stack/test_environment.py": "what a caller has set does not reach an instance",
    "tests/sandbox/stack/test_instance.py": "reads how many steps run at once, which belongs to the machine",
    "tests/srdp/domain/site/test_airflow_options.py": "these tests",
    "tests/third_family.py": "where a site's own DAGs are belongs to the site",
    "tests/statsd.py": "where metrics go belongs to the machine",
    "tests/srdp/engines/test_local.py": "what a service has set does not reach CASA",
}

# What Airflow's scheduler reads and no page of Airflow names.
UNDOCUMENTED = {"num_stuck_in_queued_retries"}


def test_every_option_exists_and_has_a_reason() -> None:
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS) > 10
    for option in OPTIONS:
        assert conf.has_option(option.section, option.name) or option.name in UNDOCUMENTED, option.variable
        assert len(option.reason) > 30, option.variable

    scheduler = Path(scheduler_job_runner.__file__).read_text(encoding="utf-8")
    assert [name for name in UNDOCUMENTED if f'"{name}"' not in scheduler] == []


def test_a_shell_systemd_and_compose_read_the_same_values(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'set -a; . "$0"; exec env -0', ROOT / FILE],
        env={},
        check=True,
        capture_output=True,
        text=True,
    )
    variables = dict(line.partition("=")[::2] for line in done.stdout.split("\0"))
    assert {option.variable: option.value for option in OPTIONS}.items() <= variables.items()
    assert not re.search(r"""["'$\\`]""", "".join(option.value for option in OPTIONS))


def test_airflow_options_are_set_in_one_file_only() -> None:
    """A test with options of its own would prove another Airflow than the one that people install."""
    shipped = {option.variable for option in OPTIONS}
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    named = set()
    for name in tracked.stdout.split("\0"):
        if not name or name == str(FILE) or name.startswith(("docs/", "CHANGELOG")) or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_bytes().decode(errors="replace")
        if any(name.startswith("tests/") or option in shipped for option in re.findall(r"AIRFLOW__[A-Z_]+[A-Z]", text)):
            named.add(name)
    assert named - NAMED_ELSEWHERE.keys() == set(), "put the option into the file, or say here why it stands elsewhere"
    assert NAMED_ELSEWHERE.keys() - named == set(), "a reason that nobody needs any more"


def test_a_value_is_compared_by_what_it_means() -> None:
    (interval,) = (option for option in OPTIONS if option.name == "orphaned_tasks_check_interval")
    (examples,) = (option for option in OPTIONS if option.name == "load_examples")
    assert interval.is_met_by("10.0")
    assert examples.is_met_by("false")
    for value in ("300.0", "", None):
        assert not interval.is_met_by(value)
    assert different([interval, examples], lambda _section, name: "300" if name == interval.name else "False") == [
        (interval, "300")
    ]


@pytest.mark.parametrize(
    "line", ["SRDP_HOME=/x", "AIRFLOW__CORE__EXECUTOR = x", "AIRFLOW__CORE__X='a b'", "export A=1"]
)
def test_a_line_that_not_everybody_would_read_alike_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "airflow.env"
    file.write_text(f"# why\n{line}\n")
    with pytest.raises(SettingsError, match="line 2"):
        read_options(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_options(tmp_path / "absent")
