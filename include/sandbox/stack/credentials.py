"""An instance's generated secrets: one file that only its owner reads."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.private_files import write_private

USER = "analyst"


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What an instance generates once and keeps.

    Attributes:
        airflow_password: the password of Airflow's user ``analyst``.
        fernet_key: what Airflow encrypts connections with.
        api_secret_key: what Airflow signs its pages' sessions with.
        jwt_secret: what Airflow signs tokens with.
        supervisor_password: what the supervisor asks for.
        postgres_supervisor_password: what PostgreSQL's supervisor asks for, which that account can read.
    """

    airflow_password: str
    fernet_key: str
    api_secret_key: str
    jwt_secret: str
    supervisor_password: str
    postgres_supervisor_password: str

    @classmethod
    def of(cls, folder: Path) -> Secrets:
        """Return the secrets of the instance in this folder, made by the first call.

        Args:
            folder: an existing folder.
        """
        path = folder / "secrets.json"
        if not path.exists():
            made = cls(
                airflow_password=secrets.token_urlsafe(12),
                fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                api_secret_key=secrets.token_urlsafe(32),
                jwt_secret=secrets.token_urlsafe(64),
                supervisor_password=secrets.token_urlsafe(24),
                postgres_supervisor_password=secrets.token_urlsafe(24),
            )
            write_private(path, json.dumps(asdict(made)))
        return cls(**json.loads(path.read_text(encoding="utf-8")))
