"""Asks HTCondor one thing, in a process of its own, through the official bindings.

    python -I -c … srdp.engines.condor_client < question > answer

Question and answer are JSON. The bindings wait for a minute and more for a server that says nothing, and cannot be
stopped; a process can. A new process has read the site's configuration and tokens as they are now, and knows nothing of
a session with a schedd that was restarted meanwhile.

A question has ``do`` (``submit``, ``queue`` or ``remove``), may have ``collector`` and ``schedd``, and what each needs.
An answer has ``refused`` if HTCondor surely has nothing of what it was to take, and ``fault`` if it gave no answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: The attribute of a job that holds its name.
NAME: Final = "SRDPJob"
_PROJECTION = [NAME, "ClusterId", "ProcId", "JobStatus", "HoldReason", "HoldReasonCode", "RemoteHost"]
# How the bindings say that they have sent nothing.
_NOT_SENT = "Failed to create job ad"


def main(arguments: Sequence[str]) -> int:  # noqa: ARG001
    """Read a question, writes the answer; returns 0."""
    question = json.load(sys.stdin)
    json.dump(_answer(question), sys.stdout)
    return 0


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    import htcondor2

    try:
        schedd = _schedd(htcondor2, question)
    except (htcondor2.HTCondorException, ValueError, LookupError) as error:
        return {"fault": str(error), "refused": str(error)}
    acts = {"submit": _submit, "queue": _queue, "remove": _remove}
    try:
        return acts[question["do"]](htcondor2, schedd, question)
    except ValueError as error:
        return {"refused": str(error)}
    except htcondor2.HTCondorException as error:
        text = str(error)
        return {"refused": text.partition("errmsg=")[2] or text} if text.startswith(_NOT_SENT) else {"fault": text}


def _schedd(bindings: Any, question: Mapping[str, Any]) -> Any:  # noqa: ANN401  the bindings have no types
    """Return the schedd of a name; without a name this machine's, or else the only one of the pool."""
    collector, kind, name = (
        bindings.Collector(question.get("collector")),
        bindings.DaemonType.Schedd,
        question["schedd"],
    )
    if name:
        found = collector.locate(kind, name)
        if found is None:
            raise LookupError(f"the collector knows no schedd {name}")
        return bindings.Schedd(found)
    if not question.get("collector"):
        try:
            return bindings.Schedd()
        except bindings.HTCondorException:  # none on this machine
            pass
    all_of_them = collector.locateAll(kind)
    if len(all_of_them) != 1:
        known = ", ".join(sorted(str(each["Name"]) for each in all_of_them)) or "none"
        raise LookupError(
            f"the collector knows {len(all_of_them)} schedds ({known}), and none is named in the settings"
        )
    return bindings.Schedd(all_of_them[0])


def _submit(bindings: Any, schedd: Any, question: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    return {"cluster": schedd.submit(bindings.Submit(dict(question["description"]))).cluster()}


def _queue(bindings: Any, schedd: Any, question: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401, ARG001
    # Its own jobs only: the schedd checks the user, and others cannot call theirs by our names.
    jobs = schedd.query(f"{NAME} =!= undefined", _PROJECTION, opts=bindings.QueryOpt.DefaultMyJobsOnly)
    return {"jobs": [{key: job[key] for key in _PROJECTION if isinstance(job.get(key), str | int)} for job in jobs]}


def _remove(bindings: Any, schedd: Any, question: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    constraint = f"{NAME} == {bindings.classad.quote(question['name'])}"
    done = schedd.act(bindings.JobAction.Remove, constraint, reason=(question["reason"], 0))
    return {"removed": done["TotalSuccess"]}
