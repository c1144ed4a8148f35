from __future__ import annotations

import ast
import re

from tests.real_run import REAL_EB, REAL_RUN

from sandbox.pipeline.apply_list import apply_list
from sandbox.pipeline.observation import Antenna, Field, Observation, SpectralWindow

VIS = f"{REAL_EB}.ms"


def arguments(line: str) -> dict[str, object]:
    call = ast.parse(line, mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}


def test_the_apply_list_has_the_shape_of_the_real_one():
    """... whose lines the pipeline's own restore reads: it stops at a call without spw or antenna."""
    remark, line = (REAL_RUN / "vla" / f"{VIS}.calapply.txt").read_text().splitlines()
    real = arguments(line)
    intents = {
        "1331+30500002_0": ("CALIBRATE_FLUX", "CALIBRATE_BANDPASS"), "1445+09900002_0": ("CALIBRATE_PHASE",),
        "N5921_2": ("OBSERVE_TARGET",),
    }  # fmt: skip
    observation = Observation(
        vis=VIS,
        telescope="EVLA",
        integration=30.0,
        fields=tuple(Field(number, name, frozenset(said)) for number, (name, said) in enumerate(intents.items())),
        scans=(),
        antennas=tuple(Antenna(f"ea{number:02}", "W01", (0.0, 0.0, 0.0)) for number in range(27)),
        spectral_windows=(SpectralWindow(0, 63, 1.413e9, 24414.0),),
    )
    call = {name: real[name] for name in ("field", "gaintable", "gainfield", "interp")}
    written = apply_list(VIS, [{**call, "calwt": False, "applymode": "calflag", "flagbackup": False}], observation)
    first, mine, *rest = written.splitlines()
    assert (first, rest) == (remark, [])
    assert re.findall(r"(\w+)=", mine) == re.findall(r"(\w+)=", line)
    said = arguments(mine)
    assert set(str(said.pop("intent")).split(",")) == set(str(real.pop("intent")).split(","))
    assert said == real
