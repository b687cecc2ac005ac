"""Sends OTLP over HTTP, in protobuf. What cannot be sent is dropped: nothing rests on it."""

from collections.abc import Mapping

import httpx

TIMEOUT = httpx.Timeout(5.0, connect=2.0)


class OtlpClient:
    """One endpoint. headers: what it wants beside the content type, as a key."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base = endpoint.rstrip("/")
        self._client = httpx.Client(
            headers={**headers, "content-type": "application/x-protobuf"},
            timeout=TIMEOUT,
            transport=transport,
            trust_env=False,
        )

    def send(self, signal: str, body: bytes) -> bool:
        """Send a batch; tell whether it was taken. signal: "traces" or "metrics"."""
        try:
            answer = self._client.post(f"{self._base}/v1/{signal}", content=body)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def headers_of(text: str) -> dict[str, str]:
    """Return the headers of OTEL_EXPORTER_OTLP_HEADERS: "name=value,name=value"."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}
