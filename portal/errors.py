"""The pages for what went wrong: what happened, why, what to do, and the id to quote."""

import json
import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from apps.accounts.models import User
from apps.common.errors import DomainError, NotPermitted
from apps.common.request_ids import current_request_id
from apps.common.requests import PageRequest
from apps.integrations.postgres.base import TakesNoWrites
from portal.api import problem_document

API = "/api/"
READING = ("GET", "HEAD", "OPTIONS")
RETRY_AFTER = "10"  # seconds
CODES = {400: "bad_request", 403: "not_permitted", 404: "not_found", 409: "conflict"}
TOKEN_OLD = "This page was open for too long, or cookies are blocked."  # noqa: S105 - words for people


def refused(request: PageRequest, error: NotPermitted | DomainError) -> HttpResponse:
    """Answer an action's refusal: 403 where the person may not, 409 where the rows do not allow it
    now.
    """
    if isinstance(error, NotPermitted):
        todo = "Ask somebody who may, or go back."
        return error_page(request, 403, title="You may not do this", why=str(error), todo=todo)
    todo = "Go back and look at it as it is now; somebody may have changed it in the meantime."
    return error_page(request, 409, title="That is not possible now", why=str(error), todo=todo)


def bad_request(request: PageRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that no browser would send."""
    return error_page(
        request, 400, title="This request cannot be understood",
        why="Something in the address, or in what was sent with it, is not allowed.",
        todo="Start from the home page.",
    )  # fmt: skip


def forbidden(request: PageRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer Django's PermissionDenied."""
    why = str(exception or "") or "Your roles do not cover this."
    return error_page(
        request, 403, title="You may not do this", why=why, todo="Ask somebody who may, or go back."
    )


def not_found(request: PageRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an address that leads to nothing this person may see. It never tells the two apart."""
    return error_page(
        request, 404, title="Nothing is here that you may see",
        why="The address is wrong, the thing is gone, or your roles do not show it to you.",
        todo="Search for it by name above, or start from the catalog.",
    )  # fmt: skip


def csrf_failure(request: PageRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose protection token does not fit."""
    return error_page(
        request, 403, title="This form can no longer be sent", why=TOKEN_OLD,
        todo="Go back, load the page again and send the form once more. Nothing was changed.",
    )  # fmt: skip


def server_error(request: PageRequest) -> HttpResponse:
    """Answer an error of ours, without asking the database for anything."""
    status, text = _what_broke(request, sys.exc_info()[1])
    headers = {"Retry-After": RETRY_AFTER} if status == 503 else {}
    if request.path.startswith(API):
        code = "internal" if status == 500 else "unavailable"
        answer: HttpResponse = problem_document(status, code, f"{text['title']}: {text['why']}")
        for name, value in headers.items():
            answer[name] = value
        return answer
    page = render_to_string(
        "errors/bare.html", text | {"status": status, "request_id": current_request_id.get()}
    )
    return HttpResponse(page, status=status, headers=headers)


def _what_broke(request: PageRequest, error: BaseException | None) -> tuple[int, dict[str, str]]:
    """Return the status and the words for an error that nobody handled."""
    if isinstance(error, TakesNoWrites):
        return 503, {
            "title": "The database takes no changes right now",
            "why": "It is handing over to another server, as a rule within half a minute. "
            "Nothing of this was saved.",
            "todo": "Try again in a moment. Pages that change nothing work meanwhile.",
        }
    if isinstance(error, OperationalError | InterfaceError):
        if request.method in READING:
            why, todo = "Nothing is lost.", "Try again in a moment."
        else:
            why = "Whether what you sent was saved is not known."
            todo = "In a moment, look whether it was saved before you send it again."
        return 503, {
            "title": "The database does not answer",
            "why": f"The portal is up, but its database is not. {why}",
            "todo": f"{todo} If it keeps happening, send the id to your platform team.",
        }
    return 500, {
        "title": "Something broke on our side",
        "why": "The portal ran into an unexpected error. It is in the log under the id below.",
        "todo": "Try again. If it keeps happening, send the id to your platform team.",
    }


def machine_refusal(request: PageRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Answer what no browser sends: a problem document at the API, the bare sentence elsewhere."""
    if request.path.startswith(API):
        return problem_document(status, code, detail)
    return HttpResponse(detail, status=status, content_type="text/plain; charset=utf-8")


def error_page(request: PageRequest, status: int, **text: Any) -> HttpResponse:
    """Return the page, or for htmx a toast beside the unchanged page; at the API the same words as
    a problem document.
    """
    if request.path.startswith(API):
        return problem_document(status, CODES[status], f"{text['title']}: {text['why']}")
    if request.htmx:
        return toast_only(status, f"{text['title']}: {text['why']}")
    template = (
        "errors/in_shell.html"
        if isinstance(getattr(request, "user", None), User)
        else "errors/bare.html"
    )
    return render(
        request,
        template,
        {**text, "status": status, "request_id": current_request_id.get()},
        status=status,
    )


def toast_only(status: int, text: str, tone: str = "bad") -> HttpResponse:
    """Answer htmx with a toast and nothing to swap."""
    response = HttpResponse(status=status)
    response["HX-Trigger"] = json.dumps({"toast": {"text": text, "tone": tone}})
    response["HX-Reswap"] = "none"
    return response
