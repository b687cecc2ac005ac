"""What the instance is started with. All from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Settings:
    """How one instance runs. hourly_limit: calls an hour, over all clients."""

    address: str
    state: Path
    client_secret: str
    client_id: str = "quartermaster"
    portal_url: str = ""
    hourly_limit: int = 20_000
    token_seconds: int = 1799

    @property
    def port(self) -> int:
        """The port to listen on: the address's."""
        return urlsplit(self.address).port or 80


def settings_from(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of the environment. Raises KeyError naming a missing variable."""
    return Settings(
        address=env["SERVICENOW_ADDRESS"],
        state=Path(env["SERVICENOW_STATE"]),
        client_secret=Path(env["SERVICENOW_CLIENT_SECRET_FILE"]).read_text().strip(),
        portal_url=env.get("SERVICENOW_PORTAL_URL", ""),
    )
