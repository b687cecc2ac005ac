"""The page "Why?": whether a call is let through, and by which rule."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import Team, User
from apps.accounts.requests import SignedIn
from apps.catalog.models import RegisteredModel
from apps.common.badges import Badge
from apps.gateway.why.checks import Check, Verdict
from apps.metering import store
from apps.metering.models import Outcome, UsageEvent
from portal.pages.gateway.asking import Asked, CallerForm, CallForm, NotThere, bound
from portal.pages.gateway.whose import own_team, sees_all

BADGES = {
    Verdict.PASSED: Badge("ok", "", "Passes"),
    Verdict.REFUSED: Badge("bad", "", "Refuses"),
    Verdict.UNKNOWN: Badge("draft", "circle-help", "Not known"),
    Verdict.NOT_REACHED: Badge("idle", "", "Not asked"),
}
DEPENDS = Badge("neutral", "circle-help", "Depends")
AROUND = timedelta(minutes=1)
MOST_AROUND = 20


@require_GET
def why(request: SignedIn) -> HttpResponse:
    """Ask why a call goes on or not, and say it: 404 for what a person may not ask about, 422 for
    what cannot be asked.
    """
    moment, user = now(), request.user
    calls, callers = CallForm(None), CallerForm(None, user=user, moment=moment)
    found, status = None, 200
    if any(request.GET.get(name) for name in ("request_id", "model", "caller")):
        form = bound(request.GET, user, moment)
        calls, callers = (form, callers) if isinstance(form, CallForm) else (calls, form)
        found, status = _ask(form, user, moment)
    context = {
        "calls": calls,
        "callers": callers,
        "sees_all": sees_all(user),
        "teams": _teams(user),
        "models": RegisteredModel.objects.visible_to(user).values_list("name", flat=True),
        **(_shown(found, user) if found else {}),
    }
    return render(request, "gateway/why.html", context, status=status)


def _ask(form: CallForm | CallerForm, user: User, moment: datetime) -> tuple[Asked | None, int]:
    if not form.is_valid():
        return None, 422
    try:
        return form.ask(user, moment), 200
    except NotThere as problem:
        form.add_error(problem.field, str(problem))
        return None, 404


def _teams(user: User) -> list[str]:
    if not sees_all(user):
        return [own_team(user)] if own_team(user) else []
    return list(Team.objects.order_by("slug").values_list("slug", flat=True))


def _shown(found: Asked, user: User) -> dict[str, Any]:
    return {
        "asked": found,
        "headline": headline(found),
        "refused": found.answer.refused,
        "lines": [(check, _badge(check), _meter(check)) for check in found.answer.checks],
        "facts": _facts(found) if found.call else [],
        "kept_apart": found.call.record if found.call else None,
        "around": [] if found.call else _around(found, user),
    }


def headline(found: Asked) -> str:
    """Return the answer in a sentence."""
    refused = found.answer.refused
    if found.call:
        return _became(found, refused)
    who = f"call by {found.caller.words} to {found.model}"
    if refused:
        code = f" with {refused.code}" if refused.code else ""
        return f"A {who} is refused{code}: {refused.title.lower()}."
    if found.answer.is_allowed is None:
        return f"Nothing that is known stands in the way of a {who}."
    return f"A {who} goes on."


def _became(found: Asked, refused: Check | None) -> str:
    call = found.call
    if call is not None and call.code == 0:  # its caller left, or the gateway failed
        return "No answer to this call is known."
    if call is None or refused is None:
        return "This call was answered."
    has_failed = call.event is not None and call.event.outcome == Outcome.FAILED
    what = "failed" if has_failed else "was refused"
    return f"This call {what} with {call.code}: {refused.title.lower()}."


def _badge(check: Check) -> Badge:
    if check.depends and check.verdict == Verdict.UNKNOWN:
        return DEPENDS
    return BADGES[check.verdict]


def _meter(check: Check) -> dict[str, Any] | None:
    counter = check.counter
    if counter is None:
        return None
    return {
        "label": check.title, "text": counter.text, "used": counter.used, "flight": counter.held,
        "limit": counter.limit, "tone": counter.tone, "note": counter.note,
        "resets_at": counter.resets_at,
    }  # fmt: skip


def _facts(found: Asked) -> list[tuple[str, object]]:
    """Return what is stored of a call."""
    call = found.call
    assert call is not None  # noqa: S101 - for the type checker
    rows: list[tuple[str, object]] = [
        ("Request id", {"text": str(call.kept.event_id), "mono": True, "copy": True}),
        ("Team", found.caller.team or "none named"),
        ("Cost center", found.caller.cost_center or "none named"),
        ("Model", found.model or "none named"),
        ("Response code", _code_words(call.code)),
    ]
    event = call.event
    if event:
        rows.append(("Outcome", event.get_outcome_display()))
        rows.append(("Version", event.version or "reached none"))
        if event.input_tokens is not None and event.output_tokens is not None:
            rows.append(("Tokens", f"{event.input_tokens:,} in · {event.output_tokens:,} out"))
    held = call.held
    if held.reserved:
        still = "held now" if held.is_open else "given back when it ended"
        rows.append(("Reserved at most", f"{held.reserved} ({still})"))
    if held.settled:
        rows.append(("Settled by", held.settled))
    return rows


def _code_words(code: int | None) -> str:
    if code is None:
        return "cannot be read"
    return str(code) if code else "none is known"


def _around(found: Asked, user: User) -> list[tuple[UsageEvent, str]]:
    """Return the calls of the caller's team to the model around the moment, each with the address
    at which it is explained.
    """
    if not found.caller.team:
        return []
    calls = store.calls_visible_to(user).filter(
        team=found.caller.team, model=found.model,
        occurred_at__gte=found.at - AROUND, occurred_at__lt=found.at + AROUND,
    )[:MOST_AROUND]  # fmt: skip
    page = reverse("gateway:why")
    return [(call, f"{page}?request_id={call.event_id}") for call in calls]
