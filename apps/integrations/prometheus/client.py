"""Metrics from where they are: an exporter's own text, or a Prometheus-compatible server that
scraped it already.

A scrape is tried once: the next one comes in seconds. Its text is bounded in size and time, for an
engine in trouble may answer slowly or without end.
"""

from collections.abc import Collection

import httpx
from django.conf import settings

from apps.integrations.errors import PermanentError
from apps.integrations.http import HttpClient
from apps.integrations.prometheus.text import is_figure, parse
from apps.integrations.prometheus.types import Point

SECONDS = 4.0
MOST_BYTES = 8 * 1024 * 1024


class ExporterClient:
    """Reads exporters. One client for all: connections that stay open are kept for the next
    scrape.
    """

    def __init__(
        self,
        *,
        proxy: str = "",
        timeout: float = SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._seconds = timeout
        self._http = HttpClient(
            name="The endpoint",
            base_url="",
            headers={"Accept": "text/plain;version=0.0.4"},
            proxy=proxy or None,
            transport=transport,
        )

    def read(self, url: str, names: Collection[str]) -> list[Point]:
        """Return the points of the wanted metrics. Raises TemporaryError or PermanentError; both
        say what is wrong.
        """
        text = self._http.read(url, seconds=self._seconds, most_bytes=MOST_BYTES)
        return parse(text.decode("utf-8", errors="replace"), names)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


class PrometheusClient:
    """Asks a Prometheus-compatible server (Prometheus, Mimir, Thanos, Amazon Managed Prometheus
    behind a proxy).
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str = "",
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = HttpClient(
            name="Prometheus",
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=3.0),
            transport=transport,
        )

    def query(self, promql: str) -> list[Point]:
        """Return an instant vector. Raises TemporaryError, or PermanentError with the server's own
        words.
        """
        body = self._http.json("/api/v1/query", params={"query": promql})
        if not isinstance(body, dict) or body.get("status") != "success":
            said = body.get("error", "") if isinstance(body, dict) else ""
            raise PermanentError(
                f"Prometheus did not answer the query: {str(said)[:300] or 'no reason given'}"
            )
        data = body.get("data") or {}
        if data.get("resultType") != "vector":
            raise PermanentError("Prometheus answered with something that is not a vector.")
        try:
            found = [
                _point(series["metric"], series["value"]) for series in data.get("result") or []
            ]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise PermanentError(
                "Prometheus answered with a series that cannot be read."
            ) from error
        return [point for point in found if is_figure(point.value)]

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


def _point(metric: dict[str, str], value: list[object]) -> Point:
    labels = {
        str(key): str(text).replace("\0", "") for key, text in metric.items() if key != "__name__"
    }
    return Point(str(metric.get("__name__", "")), labels, float(str(value[1])))


def exporters_from_settings() -> ExporterClient:
    """Return the client that reads pods by their addresses, through CLUSTER_HTTP_PROXY where there
    is one.
    """
    return ExporterClient(proxy=settings.CLUSTER_HTTP_PROXY)


def prometheus_from_settings() -> PrometheusClient | None:
    """Return the client of PROMETHEUS_URL; None where metrics are scraped instead."""
    if not settings.PROMETHEUS_URL:
        return None
    return PrometheusClient(settings.PROMETHEUS_URL, token=settings.PROMETHEUS_TOKEN)
