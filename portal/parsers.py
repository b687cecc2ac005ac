"""Reading the API's bodies."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

MAX_JSON_BYTES = 2 * 1024 * 1024  # the longest honest body lists a version's 500 files


class TooLarge(APIException):
    """The body is longer than anything this API takes."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"A JSON body has at most {MAX_JSON_BYTES:,} bytes."


class BoundedJSONParser(JSONParser):
    """JSON of a sane length and depth; REST framework reads a body of any length into memory."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the value. Raises TooLarge or ParseError."""
        length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_JSON_BYTES:
            raise TooLarge
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deep.") from error
