"""The apply list of a measurement set, ``<EB>.ms.calapply.txt``: how its calibration is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.pipeline.casa_calls import as_python
from sandbox.pipeline.observation import Observation

# What the data call an intent -> what the pipeline calls it.
_INTENTS = {
    "CALIBRATE_FLUX": "AMPLITUDE",
    "CALIBRATE_BANDPASS": "BANDPASS",
    "CALIBRATE_PHASE": "PHASE",
    "OBSERVE_TARGET": "TARGET",
}


def apply_list(vis: str, calls: Sequence[Mapping[str, Any]], observation: Observation) -> str:
    """Return the apply list: a remark, then a call a line, which says for each table all that applies it.

    Args:
        vis: name of the measurement set.
        calls: the calls that applied the calibration, as arguments of ``applycal``.
        observation: the measurement set, which says what windows, antennas and intents there are.
    """
    lines = [as_python("applycal", _whole(vis, call, observation)) for call in calls]
    return "\n".join([f"# Apply file for {vis}", *lines, ""])


def _whole(vis: str, call: Mapping[str, Any], observation: Observation) -> dict[str, object]:
    """Return a call as it stands in the list: the pipeline's own restore stops at one without spw or antenna."""
    fields = str(call["field"]).split(",")
    found = {intent for field in observation.fields if field.name in fields for intent in field.intents}
    tables = list(call["gaintable"])
    weights = call["calwt"]
    return {
        "vis": vis,
        "field": call["field"],
        "intent": ",".join(_INTENTS[intent] for intent in _INTENTS if intent in found),
        "spw": ",".join(str(window.number) for window in observation.spectral_windows),
        "antenna": f"0~{len(observation.antennas) - 1}",
        "gaintable": tables,
        "gainfield": list(call["gainfield"]),
        "spwmap": [[] for _ in tables],
        "interp": list(call["interp"]),
        "calwt": list(weights) if isinstance(weights, list) else [weights] * len(tables),
    }
