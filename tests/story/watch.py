"""Everything that the story's browsers did, kept so that the end of the test can judge all of it.

No request leaves the portal and its identity provider, no answer is a failure of the server,
nothing is written to the console as an error, and every page forbids scripts that are not the
portal's own files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

# judged by the statuses themselves
STATUS_LINE = "Failed to load resource: the server responded with a status of"


@dataclass
class Watch:
    """What went wrong in any browser, as sentences; origins: where requests may go."""

    origins: frozenset[str]
    findings: list[str] = field(default_factory=list)
    requests: int = 0
    pages: int = 0
    _expected: set[int] = field(default_factory=set)

    def over(self, context: BrowserContext, who: str) -> None:
        """Watch one browser context."""
        context.on("request", lambda request: self._request(request, who))
        context.on("response", lambda response: self._response(response, who))
        context.on("console", lambda message: self._console(message, who))
        context.on(
            "weberror", lambda error: self.findings.append(f"{who}: script error: {error.error}")
        )

    @contextmanager
    def expecting(self, *statuses: int) -> Iterator[None]:
        """Take these refusals as wanted for a while."""
        before = set(self._expected)
        self._expected |= set(statuses)
        try:
            yield
        finally:
            self._expected = before

    def _request(self, request: Request, who: str) -> None:
        self.requests += 1
        parts = urlsplit(request.url)
        if (
            parts.scheme not in ("data", "blob")
            and f"{parts.scheme}://{parts.netloc}" not in self.origins
        ):
            self.findings.append(f"{who}: a request left the origin: {request.url}")

    def _response(self, response: Response, who: str) -> None:
        if response.status >= 400 and response.status not in self._expected:
            self.findings.append(
                f"{who}: {response.status} for {response.request.method} {response.url}"
            )
        if response.request.resource_type == "document" and not 300 <= response.status < 400:
            self.pages += 1
            self._policy(response, who)

    def _policy(self, response: Response, who: str) -> None:
        policy = response.headers.get("content-security-policy", "")
        scripts = [
            part
            for part in policy.split(";")
            if part.strip().startswith(("script-src", "default-src"))
        ]
        if not scripts or any(
            "unsafe" in part or "*" in part or "http" in part for part in scripts
        ):
            self.findings.append(f"{who}: {response.url} has a weak policy: {policy or 'none'}")

    def _console(self, message: ConsoleMessage, who: str) -> None:
        if message.type == "error" and not message.text.startswith(STATUS_LINE):
            self.findings.append(f"{who}: console: {message.text[:300]}")
