"""``python healthy.py COMPONENT``: exit status 0 if a component of Airflow is healthy; for Docker's health checks.

``api-server`` is asked itself; what it says of ``scheduler``, ``dag-processor`` and ``triggerer`` comes from their last
heartbeats. Nothing but the standard library: it runs every quarter of a minute in each container.
"""

from __future__ import annotations

import json
import sys
from urllib.error import URLError
from urllib.request import urlopen

_URL = "http://apiserver:8080/api/v2/monitor/health"
_TIMEOUT_SECONDS = 10.0


def unhealthy(component: str, answer: dict[str, dict[str, object]]) -> str:
    """Return why a component is not healthy, in a sentence; nothing if it is.

    Args:
        component: which one.
        answer: what the API server says of all.
    """
    name = "metadatabase" if component == "api-server" else component.replace("-", "_")
    status = answer.get(name, {}).get("status")
    return "" if status == "healthy" else f"{name} is {status or 'not known'} to the API server."


def main() -> int:
    """Ask; return 0 if the component of the command line is healthy."""
    try:
        with urlopen(_URL, timeout=_TIMEOUT_SECONDS) as reply:
            problem = unhealthy(sys.argv[1], json.load(reply))
    except (URLError, TimeoutError, ValueError, ConnectionError) as error:
        problem = f"The API server does not answer: {error}"
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
