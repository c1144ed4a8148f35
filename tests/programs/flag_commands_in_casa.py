"""Runs in CASA's own Python: gives flag commands to the task that applies them, one list at a time.

    python flag_commands_in_casa.py COMMANDS.json RESULTS.json

COMMANDS.json holds a list of lines; RESULTS.json gets, for each, what was wrong, or null. The data are the
``demo/3C273XC1.fits`` of the casadata package, imported into the working directory, with antennas called ea01 to ea28.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import casadata
from casatasks import casalog, flagdata, importuvfits
from casatools import table

_VIS = "3C273.ms"
_NOT_DONE = ("Cannot create agent", "Failed to parse", "will be ignored", "no agent to run")


def main(commands_file: str, results_file: str) -> None:
    """Writes what CASA made of each command."""
    importuvfits(fitsfile=f"{casadata.datapath}/demo/3C273XC1.fits", vis=_VIS)
    antennas = table()
    antennas.open(f"{_VIS}/ANTENNA", nomodify=False)
    antennas.putcol("NAME", [f"ea{number + 1:02d}" for number in range(antennas.nrows())])
    antennas.close()
    results = [_verdict(line) for line in json.loads(Path(commands_file).read_text(encoding="utf-8"))]
    Path(results_file).write_text(json.dumps(results), encoding="utf-8")


def _verdict(line: str) -> str | None:
    template, log = Path("flagtemplate.txt"), Path("flagdata.log")
    template.write_text(f"{line}\n", encoding="utf-8")
    log.unlink(missing_ok=True)
    casalog.setlogfile(str(log))
    try:
        flagdata(vis=_VIS, mode="list", inpfile=str(template), action="calculate", flagbackup=False)
    except Exception as error:  # noqa: BLE001  each of them stops the pipeline's stage
        return f"{type(error).__name__}: {error}"
    complaints = [
        text for text in log.read_text(encoding="utf-8").splitlines() if any(word in text for word in _NOT_DONE)
    ]
    return complaints[0] if complaints else None


if __name__ == "__main__":
    main(*sys.argv[1:])
