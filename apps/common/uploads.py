"""Files that people send: how large one may be. What is larger is not read to its end, and the page
that it was sent to can say so.
"""

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

MAX_BYTES = 32 * 1024 * 1024  # as of a batch of a Collector
TOO_LARGE = f"A file may have {MAX_BYTES // 1024**2} MB at most. Send it in parts."


class LimitedUpload(FileUploadHandler):
    """Stops an upload that is too large. It comes before the handlers that keep what is sent."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        """Count anew for each request."""
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Let a piece pass, or stop."""
        self.received += len(raw_data)
        if self.received > MAX_BYTES:
            assert self.request is not None  # noqa: S101 - Django sets it
            self.request.META["quartermaster.upload_too_large"] = True
            raise StopUpload(connection_reset=True)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave the file to the next handler."""


def is_too_large(request: HttpRequest) -> bool:
    """Tell whether a file of this request was not read to its end."""
    return bool(request.META.get("quartermaster.upload_too_large"))
