"""The local addresses that production's objects do not know: where Envoy, the processor and the
others listen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
RATE_LIMIT_DOMAIN = "ai-gateway"
ROUTE_TABLE = "ai-gateway"


@dataclass(frozen=True)
class Wiring:
    """Ports on the loopback and the folder that everything is written to."""

    folder: Path
    envoy_port: int
    admin_port: int
    processor_port: int
    rate_limit_port: int
    collector_port: int
    gate_port: int
    portal_url: str

    @property
    def tables(self) -> Path:
        """Return the folder that Envoy watches: cds.json, rds.json, lds.json."""
        return self.folder / "envoy"

    @property
    def access_log(self) -> Path:
        """Return the access log's file, one JSON object a line."""
        return self.folder / "access.log"

    @property
    def rate_limit_config(self) -> Path:
        """Return the file that the rate limit service reads its descriptors from."""
        return self.folder / "ratelimit" / "ratelimit" / "config" / "limits.yaml"

    @property
    def lookup(self) -> Path:
        """Return the file that keeps the processor's table over a restart."""
        return self.folder / "lookup.json"
