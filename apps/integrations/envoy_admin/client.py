"""Asks Envoy's admin interface what it was configured with. Reading only: the interface can also
end Envoy, so whoever lets the portal reach it lets nobody else.

It listens on the loopback of each Envoy pod: ENVOY_ADMIN_URL names a way there (README). Without it
pages say that Envoy was not read.
"""

import json
from typing import Any

import httpx
from django.conf import settings

from apps.integrations.envoy_admin.reading import EnvoyRoute, routes
from apps.integrations.errors import PermanentError
from apps.integrations.http import HttpClient

SECONDS = 20.0
MOST_BYTES = 256 * 1024 * 1024  # 500 models with hundreds of teams each


class EnvoyAdmin:
    """Reads one Envoy; those of one gateway are all configured alike."""

    def __init__(self, base_url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = HttpClient(name="Envoy's admin", base_url=base_url, transport=transport)

    def routes(self) -> dict[str, EnvoyRoute]:
        """Return model → what Envoy does with its calls. Raises TemporaryError, PermanentError."""
        return routes(self._dump("dynamic_route_configs"), self._dump("dynamic_active_clusters"))

    def _dump(self, resource: str) -> dict[str, Any]:
        body = self._http.read(
            "/config_dump", params={"resource": resource}, seconds=SECONDS, most_bytes=MOST_BYTES
        )
        try:
            found = json.loads(body)
        except ValueError as error:
            raise PermanentError("Envoy's admin answered something that is not JSON.") from error
        if not isinstance(found, dict):
            raise PermanentError("Envoy's admin answered no configuration.")
        return found

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def client_from_settings() -> EnvoyAdmin | None:
    """Return the client of ENVOY_ADMIN_URL; None where Envoy cannot be read."""
    return EnvoyAdmin(settings.ENVOY_ADMIN_URL) if settings.ENVOY_ADMIN_URL else None
