"""The hosts that Airflow's pages and API answer for: those of ``SRDP_AIRFLOW_HOSTS``, or every one if it names none."""

from __future__ import annotations

import os
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware

# The other settings may be missing where the API server runs, which starts no task.
_HOSTS = [name.strip() for name in os.environ.get("SRDP_AIRFLOW_HOSTS", "").split(",") if name.strip()]
_CHECK: dict[str, Any] = {
    "name": "Hosts that are answered for",
    "middleware": TrustedHostMiddleware,
    "args": [],
    "kwargs": {"allowed_hosts": _HOSTS, "www_redirect": False},
}


class HostsPlugin(AirflowPlugin):
    """Refuses a request whose header ``Host`` names another host with 400."""

    name = "srdp_hosts"
    fastapi_root_middlewares = [_CHECK] if _HOSTS else []
