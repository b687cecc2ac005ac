"""What a call sends: the first record of its body alone, however many there are."""

from __future__ import annotations

from typing import Any

from flask import request

METHODS = {"PATCH", "PUT"}


def first_record() -> dict[str, Any] | None:
    """Return the first record of the body; {} where there is none, None where it cannot be read."""
    if not request.data:
        return {}
    body = request.get_json(silent=True)
    if isinstance(body, list):
        body = body[0] if body else {}
    if isinstance(body, dict) and isinstance(body.get("records"), list):
        body = body["records"][0] if body["records"] else {}
    return body if isinstance(body, dict) else None


def is_update() -> bool:
    """Tell whether a call changes a record: by its method, or by the header that stands for it."""
    override = request.headers.get("X-HTTP-Method-Override", "").upper()
    return request.method in METHODS or (request.method == "POST" and override in METHODS)
