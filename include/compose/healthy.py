"""``python healthy.py COMPONENT``: exit status 0 if a component of Airflow is healthy; for Docker's health checks.

``api-server`` is asked itself; what it says of ``scheduler``, ``dag-processor`` and ``triggerer`` comes from their last
heartbeats. A ``worker`` is asked through its queue. It imports no Airflow, which would take seconds of a core: it runs
again and again in each container.
"""

from __future__ import annotations

import json
import os
import socket
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


def silent_worker() -> str:
    """Return why the worker of this container is not healthy, in a sentence; nothing if it answers."""
    from celery import Celery
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    name = f"celery@{socket.gethostname()}"
    try:
        queue = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
        queue.conf.broker_transport_options = {"socket_connect_timeout": _TIMEOUT_SECONDS}
        answers = queue.control.ping(destination=[name], timeout=_TIMEOUT_SECONDS, limit=1)
    except (OSError, OperationalError, RedisError) as error:
        return f"The queue does not answer: {error}"
    return "" if answers else f"{name} does not answer."


def main() -> int:
    """Ask; return 0 if the component of the command line is healthy."""
    problem = silent_worker() if sys.argv[1] == "worker" else _state_of(sys.argv[1])
    if problem:
        print(problem)
    return 1 if problem else 0


def _state_of(component: str) -> str:
    try:
        with urlopen(_URL, timeout=_TIMEOUT_SECONDS) as reply:
            return unhealthy(component, json.load(reply))
    except (URLError, TimeoutError, ValueError, ConnectionError) as error:
        return f"The API server does not answer: {error}"


if __name__ == "__main__":
    sys.exit(main())
