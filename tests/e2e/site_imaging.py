"""What follows when the images of a MOUS are made, as each receiver has it: the verdict's checks, for images."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from astropy.io import fits
from tests.e2e.site import DagRun, Site
from tests.e2e.site_tools import until
from tests.e2e.site_verdict import ArchiveRows, Verdict
from tests.sandbox.pipeline.running import ask_casa

#: Where images are assigned, as the mail's address says it.
QUESTION = r"/dags/(\w+)/runs/([\w-]+)/tasks/(\w+)/required_actions"


@dataclass(frozen=True)
class Letter:
    """A mail that has arrived."""

    subject: str
    recipients: tuple[str, ...]
    text: str


def letter(site: Site, *words: str, to: str = "") -> Letter:
    """Wait for the mail whose subject has these words, of which there must be one; return it.

    Args:
        site: where.
        *words: the words.
        to: whom it went to, if that matters.
    """

    def found() -> list[dict[str, Any]]:
        answer = requests.get(f"{site.instance.mail_url}/messages/", timeout=10)
        answer.raise_for_status()
        # A subject that is too long for a line of a mail comes folded.
        mails = [mail | {"subject": " ".join(mail["subject"].split())} for mail in answer.json()["messages"]]
        return [
            mail
            for mail in mails
            if all(word in mail["subject"] for word in words) and to in " ".join(map(str, mail["recipients"]["to"]))
        ]

    mails = until(f"a mail with {words}", found)
    assert len(mails) == 1, mails
    (mail,) = mails
    text = requests.get(f"{site.instance.mail_url}/messages/{mail['id']}.plain", timeout=10)
    text.raise_for_status()
    text.encoding = "utf-8"
    to = tuple(sorted(str(one).strip("<>") for one in mail["recipients"]["to"]))
    return Letter(mail["subject"], to, text.text)


class ImageRows(ArchiveRows):
    """What the archive's database has of the images of a MOUS."""

    results, subject = "image_set", "mous_uid"

    def images(self) -> dict[str, dict[str, Any]]:
        """What it says of each image, by the name of its file."""
        return {row["relative_path"]: row for row in self._belonging("image")}


@dataclass
class ImagingVerdict(Verdict):
    """The verdict on the images of one pipeline run.

    Attributes:
        report: the analyst's report, if one was given.
    """

    rows_of_archive: ClassVar[type[ArchiveRows]] = ImageRows

    mails_before: tuple[str, ...] = ("Assign the QA",)
    report: str | None = None

    def _ids(self) -> list[str]:
        images = range(1, 1 + len(self.products("*.fits")))
        kinds = ["associated.tar", *(f"image.{number:04d}.fits" for number in images), "weblog.tgz"]
        return [f"{self.run.id}.{kind}" for kind in kinds]

    # Giving it

    def archives(self, **conf: object) -> DagRun:
        """Triggers the ingest."""
        return self.site.trigger(self.run.family.ingest_dag, "ingest", pipeline_run_id=self.run.id, **conf)

    # What is seen of it

    @property
    def root(self) -> Path:
        """The run's directory, wherever it is."""
        (root,) = self.run.directories()
        return root

    def products(self, pattern: str = "*") -> list[Path]:
        return sorted((self.root / "products").glob(pattern))

    def assignments(self) -> list[dict[str, Any]]:
        statement = "SELECT * FROM assignment WHERE pipeline_run_id = %(id)s ORDER BY number"
        return self.site.ledger.rows(statement, id=self.run.id)

    def measured(self) -> Measured:
        """Return what CASA measures in the images that are in ``working/``."""
        working = self.root / "working"
        names = {
            name: next(working.glob(f"*_sci.{pattern}")).name
            for name, pattern in (
                ("residual", "spw0_1.cont.regcal.I.residual.tt0"), ("continuum", "spw0_1.cont.regcal.I.image.tt0"),
                ("cube", "spw0.cube.regcal.I.image"),
            )
        }  # fmt: skip
        values = ask_casa(
            working,
            f"names = {names!r}\n"
            "def measure(image, what, **where):\n"
            "    return 1e3 * float(casatasks.imstat(names[image], **where)[what][0])\n"
            "print(json.dumps([measure('residual', 'rms'), measure('continuum', 'max'),\n"
            "    [measure('cube', 'max', chans=str(channel)) for channel in range(17)]]))",
        )
        return Measured(*values)

    # What must hold

    def _check_kept_for_users(self) -> None:
        assert not self.cached.exists()

    def _templates(self, working: Path) -> list[Path]:
        return sorted(working.glob("uid___A*.flagtargetstemplate.txt"))

    def _check_weblog(self, weblog: bytes, notes: Collection[str]) -> None:
        super()._check_weblog(weblog, notes)
        with tarfile.open(fileobj=io.BytesIO(weblog)) as stream:
            pages = {
                member.name.partition("/html/")[2]: data.read().decode()
                for member in stream
                if member.name.endswith(("qa_notes.html", "qa_report.txt")) and (data := stream.extractfile(member))
            }
        assert ('<a href="qa_report.txt">' in pages["qa_notes.html"]) == (self.report is not None)
        assert pages.get("qa_report.txt") == self.report

    def _check_made(self, image_set: Mapping[str, Any]) -> None:
        """... byte for byte as they are, with what their headers say."""
        assert image_set["asked"] == self.run.row()["asked"]
        assert isinstance(self.archive, ImageRows)
        files = {row["relative_path"]: row for row in self.archive.files().values()}
        images = {path.name: path for path in self.products("*.fits")}
        rows = self.archive.images()
        assert rows.keys() == images.keys()
        for name, path in images.items():
            header, row, file = fits.getheader(path), rows[name], files[name]
            assert self.ngas.bytes_of(file["ngas_file_id"], 1) == path.read_bytes()
            product = "science" if "_sci." in name and name.endswith("pbcor.fits") else "ancillary"
            assert (row["product"], file["kind"]) == (product, product)
            assert (row["width"], row["height"], row["channels"]) == (
                header["NAXIS1"], header["NAXIS2"], header["NAXIS3"],
            )  # fmt: skip
            assert (row["field"], row["spw"]) == (header["FIELD"], header["SPW"])
            if product == "science":
                beam = [3600 * header[axis] for axis in ("BMAJ", "BMIN")]
                assert [row["beam_major_arcsec"], row["beam_minor_arcsec"]] == pytest.approx(beam)
                assert 0 < row["rms"] < 0.02
        others = {name: row for name, row in files.items() if name not in images}
        assert sorted(row["kind"] for row in others.values()) == ["associated", "weblog"]

    def _check_kept_after_cleanup(self) -> None:
        assert isinstance(self.archive, ImageRows)
        assert len(self.archive.images()) == len(self.ids) - 2


@dataclass(frozen=True)
class Measured:
    """What CASA measures, in mJy a beam.

    Attributes:
        residual: the rms of the continuum's residual.
        continuum: the continuum's peak.
        cube: the peak of each channel of the cube.
    """

    residual: float
    continuum: float
    cube: list[float]
