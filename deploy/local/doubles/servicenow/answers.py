"""Errors as the instance words them."""

from __future__ import annotations

from flask import Response, jsonify


def refused(status: int, message: str, detail: str | None = None) -> Response:
    """Return an error as ServiceNow words it."""
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    answer = jsonify(body)
    answer.status_code = status
    return answer
