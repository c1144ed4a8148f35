"""What follows the mail "ready for review", as each receiver has it: NGAS, archive, ledger, mails, directories."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import uuid
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import requests
from tests.e2e.site import DAG, DagRun, Run, Site, contents
from tests.e2e.site_tools import until

from sandbox.observe import ObservedBlock

#: The DAGs of the verdict.
DAGS = ("vla_rerun", "vla_qa_pass", "vla_qa_fail", "vla_cleanup", "vla_withdraw_verdict", "expire_processing_area")
#: What a cleanup says whenever something is not proved to be in the archive.
NOT_IN_THE_ARCHIVE = (
    "The data products are not in the archive, please wait and try again. "
    "If failures are repeated, please file an SSA ticket."
)


class Ngas:
    """The stack's NGAS server, asked as any client could.

    Args:
        site: the site.
    """

    def __init__(self, site: Site) -> None:
        self._url = f"http://127.0.0.1:{site.instance.ports.ngas}"

    def versions(self, beginning: str) -> list[tuple[str, int]]:
        """Return id and version of everything whose id begins so, on all disks."""
        rows = json.loads(self._get(f"QUERY?query=files_like&like={beginning}%25&format=json"))
        return sorted((row["file_id"], row["file_version"]) for row in rows)

    def bytes_of(self, file_id: str, version: int) -> bytes:
        return self._get(f"RETRIEVE?file_id={file_id}&file_version={version}")

    def is_good(self, file_id: str, version: int) -> bool:
        """Whether the server itself, reading its copy, finds it good."""
        return b"NGAMS_INFO_FILE_OK:4056" in self._get(f"CHECKFILE?file_id={file_id}&file_version={version}")

    def _get(self, question: str) -> bytes:
        answer = requests.get(f"{self._url}/{question}", timeout=60)
        answer.raise_for_status()
        return answer.content


class ArchiveRows:
    """What the archive's database has of an execution block's calibrations.

    Args:
        site: the site.
        block: the execution block.
    """

    #: The table of what an ingest writes, and its column with what was ingested.
    results, subject = "calibration", "execution_block_locator"

    def __init__(self, site: Site, block: ObservedBlock) -> None:
        self._site, self._block = site, block

    def status(self) -> str:
        """The execution block's calibration status."""
        statement = "SELECT calibration_status FROM execution_block WHERE locator = %(block)s"
        (row,) = self._site.archive.rows(statement, block=self._block.locator)
        return str(row["calibration_status"])

    def made(self) -> list[dict[str, Any]]:
        """Its calibrations."""
        return self._rows(f"SELECT * FROM {self.results} WHERE {self.subject} = %(block)s")  # noqa: S608  ours

    def files(self) -> dict[str, dict[str, Any]]:
        """The files of all its calibrations, by id."""
        rows = self._rows(
            f"SELECT file.* FROM file JOIN {self.results} USING (file_group_id) "  # noqa: S608  ours
            f"WHERE {self.subject} = %(block)s"
        )
        return {row["ngas_file_id"]: row for row in rows}

    def srdp_states(self) -> list[dict[str, Any]]:
        return self._belonging("srdp_state")

    def cached(self) -> list[dict[str, Any]]:
        return self._belonging("cached_measurement_set")

    def reindexed(self) -> list[dict[str, Any]]:
        """The requests to index the project again."""
        statement = "SELECT * FROM reindex_request WHERE project_code = %(project)s"
        return self._site.archive.rows(statement, project=self._block.project)

    def _belonging(self, table: str) -> list[dict[str, Any]]:
        return self._rows(
            f"SELECT {table}.* FROM {table} JOIN {self.results} ON locator = {self.results}_locator "  # noqa: S608  ours
            f"WHERE {self.subject} = %(block)s"
        )

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        return self._site.archive.rows(statement, block=self._block.locator)


@dataclass
class Verdict:
    """The verdict on one pipeline run, given and seen from outside; here of a calibration.

    Attributes:
        run: the run, which a request or a rerun has opened.
        mails_before: how the subjects of the mails begin that had come when it waited for its verdict.
    """

    rows_of_archive: ClassVar[type[ArchiveRows]] = ArchiveRows

    run: Run
    mails_before: tuple[str, ...] = ("Begun", "Ready for review")

    def __post_init__(self) -> None:
        self.site = self.run.site
        self.ngas = Ngas(self.site)
        self.archive = self.rows_of_archive(self.site, self.run.block)
        areas = self.site.instance.places.areas
        name = f"{self.run.block.name}.ms"
        self.measurement_set = self.run.directory("qa") / "working" / name
        self.cached = areas["processing"] / "calibrated_measurement_sets" / self.run.id / name
        self.ids = self._ids()

    def _ids(self) -> list[str]:
        """Return the ids that its files get in NGAS, the tar's first and the weblog's last."""
        return [f"{self.run.id}.calibration.tar", f"{self.run.id}.weblog.tgz"]

    # Giving it

    def passes(self, flag: str = "Pass", **conf: object) -> DagRun:
        """Triggers a pass."""
        return self.site.trigger("vla_qa_pass", "pass", pipeline_run_id=self.run.id, qa_flag=flag, **conf)

    def cleans_up(self) -> DagRun:
        return self.site.trigger(self.run.family.cleanup_dag, "cleanup", pipeline_run_id=self.run.id)

    # What is seen of it

    def ingests(self) -> list[dict[str, Any]]:
        statement = "SELECT * FROM ingest WHERE pipeline_run_id = %(id)s ORDER BY number"
        return self.site.ledger.rows(statement, id=self.run.id)

    def recorded_files(self) -> dict[str, dict[str, Any]]:
        """What the ledger says was put into NGAS, by id."""
        statement = "SELECT * FROM archived_file WHERE pipeline_run_id = %(id)s ORDER BY ngas_file_id"
        return {row["ngas_file_id"]: row for row in self.site.ledger.rows(statement, id=self.run.id)}

    def is_sealed(self) -> bool:
        statement = "SELECT sealed_at FROM request WHERE request_id = %(request)s"
        (row,) = self.site.ledger.rows(statement, request=self.run.row()["request_id"])
        return row["sealed_at"] is not None

    def sent(self) -> list[str]:
        """Return the ids of its files that NGAS was asked to archive, in order, as often as it was."""
        return [request["file_id"] for request in self.site.requests(f"{self.run.id}.", "ARCHIVE", "QARCHIVE")]

    # What must hold

    def check_not_archived(self, *, status: str = "Ready") -> None:
        """Check that neither the archive has a calibration nor people a mail, and the run is where it waits."""
        assert self.archive.made() == []
        assert self.archive.files() == {}
        assert self.archive.status() == status
        assert self.run.directories() == [self.run.directory("qa")]
        assert self.measurement_set.is_dir()
        assert not self.is_sealed()

    def check_archived(
        self,
        *states: str,
        flag: str = "Pass",
        notes: Collection[str] = (),
        superseded: Collection[Run] = (),
        changed_by_analyst: Mapping[str, bytes] | None = None,
    ) -> None:
        """Wait until it is archived; then everything that belongs to that must be there, once and proved.

        Args:
            states: the states between ``awaiting_qa`` and ``archived``; ``ingesting`` only, if not given.
            flag: the QA flag.
            notes: what the QA notes must hold.
            superseded: the siblings that the pass ended.
            changed_by_analyst: files that were put into ``products/`` by hand, and must be in the tar too.
        """
        self.run.until_state("archived")
        between = states or ("ingesting",)
        assert [after for _, after in self.run.chain()][3:] == ["awaiting_qa", *between, "archived"], self.run.story()
        self.run.until("directory and mail", lambda: self.run.directories() == [self.run.directory("processing")])
        self._check_directories()
        archived = self._check_ngas()
        self._check_tar(archived, changed_by_analyst or {})
        self._check_weblog(archived[self.ids[-1]], notes)
        self._check_archive(flag, notes)
        assert self.is_sealed() == (flag == "Pass")
        for sibling in superseded:
            assert sibling.state == "superseded"
            sibling.until(
                "its move", lambda sibling=sibling: sibling.directories() == [sibling.directory("processing")]
            )
        failures = ["INGEST FAILED"] * list(between).count("ingest_failed")
        self.run.check_mails(*self.mails_before, *failures, f"Archived ({flag})")

    def _check_directories(self) -> None:
        self._check_kept_for_users()
        spool = self.run.directory("spool")
        assert [path.name for path in spool.iterdir() if path.suffix == ".tar" or "flagtemplate" in path.name] == []

    def _check_kept_for_users(self) -> None:
        assert not (self.run.directory("processing") / "working" / self.cached.name).exists()
        assert contents(self.cached)

    def _check_ngas(self) -> dict[str, bytes]:
        """... which has one version of each file, found good, with what ledger and archive say of it."""
        assert self.ngas.versions(self.run.id) == [(file_id, 1) for file_id in sorted(self.ids)]
        in_ledger, in_archive = self.recorded_files(), self.archive.files()
        assert in_ledger.keys() == in_archive.keys() == set(self.ids)
        found = {}
        for file_id in self.ids:
            assert self.ngas.is_good(file_id, 1)
            content = found[file_id] = self.ngas.bytes_of(file_id, 1)
            facts = (1, len(content), zlib.crc32(content))
            ours, theirs = in_ledger[file_id], in_archive[file_id]
            assert facts == (ours["ngas_version"], ours["size_bytes"], ours["crc32"])
            assert facts == (theirs["version"], theirs["size"], int(theirs["checksum"]))
            assert (ours["kind"], ours["name"]) == (theirs["kind"], theirs["relative_path"])
            assert ours["sent_at"] <= ours["proved_at"]
        return found

    def _check_tar(self, archived: Mapping[str, bytes], changed: Mapping[str, bytes]) -> None:
        """... which holds everything of ``products/`` that is no FITS, and the flag template, as it is there."""
        directory = self.run.directory("processing")
        templates = {path.name: path.read_bytes() for path in self._templates(directory / "working")}
        expected = {name: data for name, data in contents(directory / "products").items() if ".fits" not in name}
        assert len(expected) < len(contents(directory / "products"))
        with tarfile.open(fileobj=io.BytesIO(archived[self.ids[0]])) as stream:
            members = {member.name: stream.extractfile(member) for member in stream if member.isfile()}
            found = {name: data.read() for name, data in members.items() if data}
        assert templates
        assert found.keys() == expected.keys() | templates.keys()
        assert found == expected | templates
        (weblog,) = (data for name, data in found.items() if name.endswith("weblog.tgz"))
        assert weblog == archived[self.ids[-1]]
        assert {name: found[name] for name in changed} == changed

    def _templates(self, working: Path) -> list[Path]:
        """Return the flag templates that CASA read."""
        return [working / f"{self.run.block.name}.flagtemplate.txt"]

    def _check_weblog(self, weblog: bytes, notes: Collection[str]) -> None:
        with tarfile.open(fileobj=io.BytesIO(weblog)) as stream:
            names = [name for name in stream.getnames() if name.endswith("html/qa_notes.html")]
            (page,) = (stream.extractfile(name) for name in names)
            assert page is not None
            text = page.read().decode()
        assert all(note.replace("<", "&lt;").replace(">", "&gt;") in text for note in notes), text

    def _check_archive(self, flag: str, notes: Collection[str]) -> None:
        (made,) = self.archive.made()
        assert all(note in made["qa_notes"] for note in notes), made["qa_notes"]
        (attempt,) = self.run.attempts()
        made_with = (made["casa_version"], made["pipeline_version"])
        assert made_with == (attempt["casa_version"], attempt["pipeline_version"])
        (srdp,) = self.archive.srdp_states()
        assert (srdp["pipeline_run_id"], srdp["qa_flag"]) == (self.run.id, flag)
        self._check_made(made)
        self.run.until("the request to index the project again", self.archive.reindexed)

    def _check_made(self, _calibration: Mapping[str, Any]) -> None:
        """... with what the archive has of this family only."""
        assert self.archive.status() == "Calibrated"
        # The directory has moved when the archive has the measurement set; the DAG's own order says which first.
        (cached,) = self.run.until("the cached measurement set in the archive", self.archive.cached)
        assert Path(cached["path"]) == self.cached
        days = cached["expires_at"] - self.ingests()[-1]["claimed_at"]
        assert timedelta(days=21) <= days < timedelta(days=21, minutes=10)

    def check_cleaned(self) -> None:
        """Wait until its directory is removed; what is in the archive and in the cache must still be there."""
        self.run.until_state("cleaned")
        assert [after for _, after in self.run.chain()][-3:] == ["archived", "cleaning", "cleaned"]
        assert self.run.directories() == []
        assert not self.run.directory("spool").exists()
        assert self.ngas.versions(self.run.id) == [(file_id, 1) for file_id in sorted(self.ids)]
        assert all(self.ngas.is_good(file_id, 1) for file_id in self.ids)
        assert len(self.archive.made()) == 1
        self._check_kept_after_cleanup()

    def _check_kept_after_cleanup(self) -> None:
        assert self.archive.status() == "Calibrated"
        assert contents(self.cached)


def prepare(site: Site, *projects: str) -> None:
    """Make runs of new EBs that wait for their verdict, one for each project named, for :func:`waiting`.

    Together it takes seconds; no DAG calibrates them, for which a DAG run needs the better part of a minute.
    """
    blocks = {f"prepared-{uuid.uuid4().hex[:8]}": site.observe(project=project) for project in projects}
    wanted = [
        {"name": block.name, "locator": block.locator, "project": block.project, "dag_run_id": dag_run_id}
        for dag_run_id, block in blocks.items()
    ]
    home = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, str(home / "tests" / "programs" / "awaiting_qa.py")],
        env=site.instance.environment() | {"PYTHONPATH": str(home / "plugins")},
        input=json.dumps(wanted),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for dag_run_id, block in blocks.items():
        verdict = Verdict(Run(site, DAG, dag_run_id, block), ())
        site.prepared.setdefault(block.project, []).append(verdict)


def waiting(site: Site, project: str) -> Verdict:
    """Return the verdict, yet to be given, on a run of a new EB of a project, which was prepared or is made now."""
    if not site.prepared.get(project):
        prepare(site, project)
    verdict: Verdict = site.prepared[project].pop()
    return verdict


def calibrated(site: Site, title: str, *, project: str) -> Verdict:
    """Calibrates a new EB and returns the verdict on it, which is yet to be given."""
    run = site.start(title, site.observe(project=project))
    run.release()
    run.check_delivered()
    return Verdict(run)


def wait_for_dags(site: Site) -> None:
    """Return when Airflow knows the DAGs of the verdict."""
    for dag in DAGS:
        site.airflow.wait_for_dag(dag)


def inodes(folder: Path) -> dict[str, int]:
    """Return the inode of each file in a folder, by path."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def reported(run: Run, *words: str) -> str:
    """Wait for a mail about a run whose subject has these words, and return the subject."""
    return until(
        f"a mail with {words}",
        lambda: next((text for text in run.mails() if all(word in text for word in words)), ""),
        story=run.story,
    )
