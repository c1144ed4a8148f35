"""Whether what is in a run's directory is opened in one place only: ``shared_files`` of :mod:`srdp.domain.files`.

People and a pipeline that runs their input write into a run's directory. Whoever opens a file there by its path follows
a link to a file of secrets, waits for a named pipe forever, or reads a sparse file until memory ends. So nobody opens,
lists or looks at anything by its path but in the functions below, each of which has its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins" / "srdp"

#: Methods of a path that open or look at what it names, and follow it.
METHODS = frozenset(
    {
        "exists", "glob", "hardlink_to", "is_block_device", "is_char_device", "is_dir", "is_fifo", "is_file",
        "is_mount", "is_socket", "is_symlink", "iterdir", "lstat", "open", "read_bytes", "read_text",
        "readlink", "resolve", "rglob", "samefile", "stat", "touch", "walk", "write_bytes", "write_text",
    }
)  # fmt: skip
#: Functions that do, by their modules; all of a module where none is named. Those of :mod:`os` that take a descriptor
#: are safe with ``dir_fd``.
FUNCTIONS = {
    "os": {
        "access", "chmod", "fwalk", "listdir", "lstat", "open", "readlink", "scandir", "stat", "truncate", "utime",
        "walk",
    },
    "io": {"FileIO", "open"},
    "os.path": set(),
    "shutil": set(),
    "filecmp": set(),
    "glob": set(),
    "tarfile": {"open"},
    "zipfile": {"ZipFile"},
    "gzip": {"open"},
    "bz2": {"open"},
    "lzma": {"open"},
    "fits": {"getdata", "getheader", "open"},
    "numpy": {"fromfile", "load", "loadtxt", "memmap"},
    "np": {"fromfile", "load", "loadtxt", "memmap"},
    "etree": {"parse"},
    "ElementTree": {"parse"},
}  # fmt: skip
#: What has those names and is given no path of a file.
HARMLESS = {
    "os.path": {"samestat", "join", "basename", "dirname", "normpath"},
    "shutil": {"Error"},
}

SELF = "it is of the one place"
AREA = "an area of the settings: what is in it by name, or whether it is there; nothing of a run is read"
ROOT = "a run's directory in its area: whether it is there; nothing in it is looked at"
DESCRIPTOR = "by the descriptor of a folder or file that was opened safely, or of an entry of it"
SPACE = "how much space an area has free"
PROJECT = "the project's own files"
SITE = "a file or folder of the settings, which only operators write"
SYSTEM = "the kernel's files"
SPOOL = "the spool area, into which only the service writes"
LEDGER = "a run is opened in the ledger, and no file"
LOGS = "Airflow's own program and logs; nothing of a run"

#: ``module`` or ``module:function`` -> why it may. What does no such thing any more must go.
ALLOWED: dict[str, str] = {
    "check.areas": AREA,
    "check.casa": SITE,
    "check.casa_account:_check_account": AREA,
    "check.casa_account:_working": "a folder that the check itself has made",
    "check.mark_runs": ROOT,
    "check.services:check_home": SITE,
    "domain.runs.areas": AREA,
    "dags_table": PROJECT,
    "domain.site.airflow_options:read_options": PROJECT,
    "domain.casa.command:casa_command": SITE,
    "domain.disk.delivery:_Move": ROOT,
    "domain.disk.delivery:_removed": AREA,
    "domain.disk.delivery:move_directory": ROOT,
    "domain.retention.expiry:entries": AREA,
    "domain.raw_data.fetch:Fetch": SPACE,
    "domain.imaging.fits_header:_opened": DESCRIPTOR,
    "domain.analyst_files.submitted:_place": "links in what a person types are followed, to an end below a folder",
    "domain.disk.group_rights:share_folder": "a folder that has just been made, and not through a link",
    "domain.files.packing:_check_space": SPACE,
    "domain.ppr.document:check_recipe": PROJECT,
    "domain.ppr.document:recipes": PROJECT,
    "domain.raw_data.linking:_Transfer._check_space": SPACE,
    "domain.raw_data.linking:_Transfer._write": DESCRIPTOR,
    "domain.disk.removal:_area": AREA,
    "domain.disk.removal:symlinks_leading_out": "where a link leads; nothing is opened there",
    "domain.retention.rules:_content": SITE,
    "domain.runs.run_marker:_holds_no_file": DESCRIPTOR,
    "domain.runs.run_marker:opened": ROOT,
    "domain.files.shared_files": SELF,
    "domain.files.shared_folders": SELF,
    "domain.files.spool_files": SPOOL,
    "domain.files.storage:check_there": AREA,
    "domain.files.trusted_root": SELF,
    "domain.files.unpacking:limited_memory": SYSTEM,
    "domain.files.whole_file:whole_file": DESCRIPTOR,
    "domain.files.tree_copy:_copy_status": DESCRIPTOR,
    "domain.disk.tree_removal:TreeRemoval._content": DESCRIPTOR,
    "domain.disk.tree_removal:mount_of": SYSTEM,
    "domain.disk.tree_removal:open_directory": DESCRIPTOR,
    "engines.account:_may_get_no_privileges": SYSTEM,
    "engines.account_agent": SYSTEM,
    "engines.htcondor:HTCondor._ask": SITE,
    "engines.local_records:_pid_namespace": SYSTEM,
    "engines.local_records:this_place": SYSTEM,
    "engines.processes:descendants": SYSTEM,
    "engines.spooled:job_folder_of": SPOOL,
    "events_table": PROJECT,
    "hooks.ledger_schema": PROJECT,
    "hooks.statements": PROJECT,
    "metrics_table": PROJECT,
    "notifications.gauges:_room": SPACE,
    "services.opening.open_imaging_run:_open": LEDGER,
    "services.opening.open_rerun:_open": LEDGER,
    "services.opening.open_run:open_execution_block_run": LEDGER,
    "services.removal.expire:_Expiry": AREA,
    "services.processing.failure:end_casa_job": SPOOL,
    "settings.areas:AreaSettings.folders_of_submitted_files": SITE,
    "tidy": LOGS,
}


class _Calls(ast.NodeVisitor):
    """Finds the calls, each with the function of the module's top level that it stands in."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int, str]] = []
        self._names: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  ast's names
    visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        # A function that is handed over, as in ``map(os.stat, paths)``, is called there.
        handed = [each for each in map(ast.unparse, node.args) if _opens(ast.Call(node.func, [], []), each)]
        for each in [called] * _opens(node, called) + [name for name in handed if "." in name]:
            self.found.append((".".join(self._names), node.lineno, each))
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for each in node.names:
            if node.module in FUNCTIONS and _opens(ast.Call(ast.Name("_"), [], []), f"{node.module}.{each.name}"):
                self.found.append((".".join(self._names), node.lineno, f"{node.module}.{each.name}"))


def _opens(node: ast.Call, called: str) -> bool:
    """Whether a call opens or looks at something by a path."""
    if any(keyword.arg in {"dir_fd", "fileobj"} for keyword in node.keywords):
        return False
    module, _, name = called.rpartition(".")
    if module in FUNCTIONS:
        names = FUNCTIONS[module]
        return name not in HARMLESS.get(module, ()) and (not names or name in names)
    if not module:
        return name == "open"
    # ``entry.stat(follow_symlinks=False)`` of a folder that was opened is one of these, too.
    return name in METHODS


def calls_in(source: str) -> list[tuple[str, int, str]]:
    """Return the calls that open or look at something by a path: the function, the line, what is called."""
    calls = _Calls()
    calls.visit(ast.parse(source))
    return calls.found


def _found() -> Iterator[tuple[str, str, str]]:
    for path in sorted(PLUGINS.rglob("*.py")):
        module = ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
        for function, line, called in calls_in(path.read_text(encoding="utf-8")):
            yield module, function, f"plugins/srdp/{path.relative_to(PLUGINS)}:{line} calls {called} in {function}"


def _permission(module: str, function: str) -> str | None:
    parts = function.split(".") if function else []
    names = (module, *(f"{module}:{'.'.join(parts[:place])}" for place in range(1, len(parts) + 1)))
    return next((name for name in reversed(names) if name in ALLOWED), None)


def test_nothing_of_a_run_is_opened_by_its_path() -> None:
    """Open it by ``srdp.domain.files.shared_files``; what is not of a run has a line in ``ALLOWED`` and a reason."""
    assert [where for module, function, where in _found() if _permission(module, function) is None] == []


def test_nothing_is_allowed_that_is_not_done() -> None:
    used = {_permission(module, function) for module, function, _ in _found()}
    assert sorted(name for name, why in ALLOWED.items() if name not in used) == []


@pytest.mark.parametrize(
    "line",
    [
        "open(path)", "path.open('rb')", "(run / 'PPR.xml').read_text()", "path.is_file()", "os.path.exists(path)",
        "os.open(path, os.O_RDONLY)", "shutil.copyfile(path, other)", "tarfile.open(path)", "gzip.open(path)",
        "fits.open(path)", "sorted(path.glob('*'))", "os.walk(path)", "path.parent.resolve()", "map(os.stat, paths)",
        "from os import stat", "io.FileIO(path)", "os.fwalk(path)", "fits.getheader(path)",
        "filter(Path.is_file, paths)",
    ],
)  # fmt: skip
def test_each_way_to_open_a_path_is_seen(line: str) -> None:
    ((function, _, _),) = calls_in(f"class Step:\n    def run(self):\n        {line}\n")
    assert function == "Step.run"


@pytest.mark.parametrize("line", ["os.open(name, flags, dir_fd=folder)", "tarfile.open(fileobj=stream)", "run(x)"])
def test_what_opens_by_a_descriptor_is_not_meant(line: str) -> None:
    assert calls_in(line) == []
