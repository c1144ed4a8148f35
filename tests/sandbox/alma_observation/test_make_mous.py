"""The simulated MOUS, made with real CASA: its data, its calibration, and what its images show."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import CASA_PYTHON, REPOSITORY, ask_casa

from sandbox.alma_observation import facts
from sandbox.alma_observation.products import read_made

pytestmark = pytest.mark.casa

_SCRIPT = REPOSITORY / "include" / "sandbox" / "alma_observation" / "make_mous.py"


def test_simulated_rawdata_is_what_an_imaging_run_has(made_mous: Path):
    assert list(made_mous.parent.iterdir()) == [made_mous]
    mous = read_made(made_mous)
    assert (mous.name, [asdm.name for asdm in mous.asdms]) == (facts.MOUS, [facts.ASDM])
    assert set(mous.products) == {
        f"{facts.MOUS}.hifa_calimage.pipeline_manifest.xml",
        f"{facts.MOUS}.session_1.caltables.tgz",
        f"{facts.ASDM}.ms.flagversions.tgz",
        f"{facts.ASDM}.ms.calapply.txt",
    }
    assert sum(path.stat().st_size for path in made_mous.rglob("*") if path.is_file()) < 40e6
    assert "SIMULATED" in (mous.asdms[0] / "README.txt").read_text()


def test_existing_directory_is_refused(tmp_path: Path):
    refused = subprocess.run([CASA_PYTHON, _SCRIPT, tmp_path], check=False, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2
    assert "exists already" in refused.stderr


def test_the_import_gives_back_what_was_simulated(made_mous: Path, tmp_path: Path):
    """Simulated again, which shows that every build gives the same; and the gains found are those injected."""
    code = f"""
import casatools
import numpy as np
from sandbox.alma_observation.corruption import make_gains
from sandbox.alma_observation.simulate import simulate
from sandbox.pipeline.restore import find_products, restore
from sandbox.pipeline.tables import open_table
from pathlib import Path
simulate("again.ms")
raw = Path({str(made_mous)!r})
products = find_products(raw)
*_, on_target = restore(raw, products)
vis = products.vis
read = []
for name in ("again.ms", vis):
    with open_table(name) as table:
        order = np.lexsort([table.getcol(c) for c in ("ANTENNA2", "ANTENNA1", "DATA_DESC_ID", "TIME")])
        read.append((table.getcol("DATA")[:, :, order], table.getcol("UVW")[:, order]))
(data, uvw), (imported, imported_uvw) = read
metadata = casatools.msmetadata()
metadata.open(vis)
scans = [[metadata.fieldsforscan(n).tolist(), sorted(metadata.intentsforscan(n)), metadata.spwsforscan(n).tolist()]
         for n in metadata.scannumbers()]
names, fields = metadata.antennanames(), metadata.fieldnames()
metadata.done()
_, phases, amplitudes = on_target["gaintable"]
injected = make_gains(16)
with open_table(amplitudes) as table:
    mine = table.getcol("FIELD_ID") == 1
    antennas, found = table.getcol("ANTENNA1")[mine], np.abs(table.getcol("CPARAM")[:, 0, mine])
wrong_amplitude = np.abs(found / np.abs(injected.fixed)[:, antennas] - 1).max()
with open_table(phases) as table:
    last = (table.getcol("SCAN_NUMBER") == 8) & (table.getcol("SPECTRAL_WINDOW_ID") == 0)
    antennas, found, reference = (table.getcol(c)[..., last] for c in ("ANTENNA1", "CPARAM", "ANTENNA2"))
    part = (table.getcol("TIME")[last][0] - 5085766805.0) / 1370
true = injected.fixed * np.exp(1j * injected.phases(np.array([part])))[:, 0]
true = true / true[:, [reference[0]]]
wrong_phase = np.abs(np.angle(found[:, 0] / true[:, antennas])).max()
flagged = casatasks.flagdata(vis, mode="summary")["field"]
parts = [flagged[field]["flagged"] / flagged[field]["total"] for field in fields]
print(json.dumps([float(np.abs(data - imported).max()), float(np.abs(uvw - imported_uvw).max()), int(data.size),
                  scans, names, fields, float(wrong_amplitude), float(wrong_phase), parts]))
"""
    data, uvw, size, scans, antennas, fields, amplitude, phase, flagged = ask_casa(tmp_path, code)
    assert size == 124 * 120 * 2 * 24 * 2  # integrations, baselines, spectral windows, channels, polarisations
    assert data < 1e-5  # Jy: what is lost when the doubles that were simulated become floats
    assert uvw < 0.01  # metres, of 300: the simulator and the import do not reckon the Earth's motion alike
    bandpass = [[0], ["CALIBRATE_BANDPASS#ON_SOURCE", "CALIBRATE_FLUX#ON_SOURCE"], [0, 1]]
    phases, target = [[1], ["CALIBRATE_PHASE#ON_SOURCE"], [0, 1]], [[2], ["OBSERVE_TARGET#ON_SOURCE"], [0, 1]]
    assert scans == [bandpass, phases, target, phases, target, phases, target, phases]
    assert fields == [facts.BANDPASS_CALIBRATOR, facts.PHASE_CALIBRATOR, facts.TARGET]
    assert (len(antennas), antennas[11]) == (16, facts.DAMAGED_ANTENNA)
    assert amplitude < 0.03
    assert phase < 0.06  # radians
    # The online flags: 2 integrations of 18 and of 90, of one antenna.
    assert flagged == pytest.approx([2 / 18 / 8, 0, 2 / 90 / 8])


def test_restore_works_with_other_names(made_mous: Path, tmp_path: Path):
    asdm, renamed = "uid___A002_Xbeef_X7", tmp_path / "renamed"
    mous = read_made(made_mous)
    renamed.mkdir()
    (renamed / asdm).symlink_to(mous.asdms[0])
    for name, content in mous.products_named(mous="uid___A001_X9_Xa", asdms=[asdm]).items():
        (renamed / name).write_bytes(content)
    code = f"""
from pathlib import Path
from sandbox.alma_observation import facts
from sandbox.pipeline.restore import find_products, restore
raw = Path({str(renamed)!r})
products = find_products(raw)
restore(raw, products)
common = dict(vis=products.vis, field=facts.TARGET, datacolumn="corrected", imsize=160, cell="0.2arcsec", pbcor=True,
              weighting="briggs", robust=0.5, interactive=False, pblimit=0.2)
def continuum(name):
    casatasks.tclean(imagename=name, specmode="mfs", spw=facts.CONTINUUM, niter=300, threshold="0.5mJy", usemask="user",
                     mask="circle[[80pix, 80pix], 50pix]", **common)
    whole, rest = casatasks.imstat(name + ".image"), casatasks.imstat(name + ".residual")
    other = casatasks.imstat(name + ".image.pbcor", box="45,90,65,110")
    return [float(x) for x in (whole["max"][0], other["max"][0], rest["rms"][0])] + other["maxpos"][:2].tolist()
found = [continuum("damaged")]
casatasks.flagdata(products.vis, mode="list", inpfile=[facts.CURING_FLAG], flagbackup=False)
found.append(continuum("fixed"))
casatasks.tclean(imagename="cube", specmode="cube", spw="0", niter=0, outframe="LSRK", **facts.CUBE, **common)
peaks = casatasks.imstat("cube.image", axes=[0, 1], box="70,70,90,90")["max"]
print(json.dumps([*found, peaks.tolist()]))
"""
    damaged, fixed, peaks = ask_casa(tmp_path, code)
    assert fixed[0] == pytest.approx(facts.CENTRAL_FLUX, rel=0.03)
    assert fixed[1] == pytest.approx(facts.OTHER_FLUX, rel=0.1)
    # 5 arcseconds to the east and 4 to the north of the middle, in pixels of 0.2 arcseconds.
    assert fixed[3:] == [80 - 25, 80 + 20]
    assert fixed[2] < 0.0003  # Jy a beam
    assert damaged[2] > 4 * fixed[2]
    assert damaged[0] < 0.95 * facts.CENTRAL_FLUX
    in_line, without = peaks[5:10], peaks[:4] + peaks[12:]
    assert max(without) < 1.1 * facts.CENTRAL_FLUX < min(in_line)
    assert max(in_line) == peaks[7] > 2 * facts.CENTRAL_FLUX
