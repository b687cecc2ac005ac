"""Asking for a fresh sign-in before a decision (step-up), at the web's door and the API's.

A door says on the person when and how they signed in (`sign_in_of`); `decisions.permit` refuses a
stale one (FreshSignInNeeded). The API answers the refusal as RFC 9470 says. A page's form is kept
in the session, the browser is led to the provider with max_age and acr_values, and comes back to
the same page with the form as it was: nothing is sent for the person, who looks once more.

What was typed stays on this side, for the same account and one hour. A provider that sends somebody
back who did not sign in again, or somebody else, is told of by the callback's page.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.forms import Form
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from apps.accounts.models import User
from apps.accounts.sessions import ACR, AUTH_TIME
from apps.common.requests import PageRequest
from apps.common.sign_ins import SignIn

KEPT, ASKED = "kept_forms", "step_up"
KEPT_SECONDS = 3600
MOST_KEPT = 5  # forms of one session
MOST_FIELDS, LONGEST_FIELD = 50, 5000
NOT_TYPED = "csrfmiddlewaretoken"


def sign_in_of(auth_time: object, acr: object, *, now: float) -> SignIn:
    """Return what two claims of a token say about a sign-in. now: seconds since 1970."""
    known = isinstance(auth_time, int) and not isinstance(auth_time, bool)
    return SignIn(
        age_seconds=int(now) - int(auth_time) if known else None,  # type: ignore[call-overload]
        max_age_seconds=settings.STEP_UP_SECONDS,
        acr=acr if isinstance(acr, str) else "",
        acr_values=settings.STEP_UP_ACR_VALUES,
    )


def sign_in_of_session(session: SessionBase, *, now: float) -> SignIn:
    """Return what the sign-in that began a session says about itself."""
    return sign_in_of(session.get(AUTH_TIME), session.get(ACR), now=now)


def wanted() -> dict[str, str]:
    """Return what the provider is asked for (OpenID Connect Core 3.1.2.1).

    max_age is half of what decisions take: who need not sign in again has the other half to decide.
    """
    asked = {"max_age": str(settings.STEP_UP_SECONDS // 2)}
    if settings.STEP_UP_ACR_VALUES:
        asked["acr_values"] = " ".join(settings.STEP_UP_ACR_VALUES)
    return asked


def challenge(words: str) -> str:
    """Return the API's WWW-Authenticate for a token of a stale sign-in (RFC 9470)."""
    asked = {"error": "insufficient_user_authentication", "error_description": words}
    asked |= {"max_age": str(settings.STEP_UP_SECONDS)}
    if settings.STEP_UP_ACR_VALUES:
        asked["acr_values"] = " ".join(settings.STEP_UP_ACR_VALUES)
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in asked.items())


# -- What was typed --------------------------------------------------------------------------------


def keep_form(request: PageRequest, user: User, *, now: float) -> str:
    """Keep the form that was sent, and return the address of the page that it stood on."""
    page = _page_of(request)
    typed = [(name, request.POST.getlist(name)) for name in request.POST if name != NOT_TYPED]
    fields = {name: [value[:LONGEST_FIELD] for value in values] for name, values in typed}
    kept = _kept(request.session, user, now=now)
    kept.pop(request.path, None)  # the newest stands last
    kept[request.path] = {"at": int(now), "fields": dict(list(fields.items())[:MOST_FIELDS])}
    request.session[KEPT] = {"user": user.pk, "forms": dict(list(kept.items())[-MOST_KEPT:])}
    return page


def forget_form(request: HttpRequest) -> None:
    """Drop what was kept of a form that has now been taken, or shown again."""
    kept = request.session.get(KEPT, {})
    if request.path in kept.get("forms", {}):
        del kept["forms"][request.path]
        request.session.modified = True


def typed_at(request: HttpRequest, user: User, urls: Sequence[str]) -> Mapping[str, list[str]]:
    """Return the fields of the form that this account had sent to one of these addresses before it
    was asked to sign in again; none where there is none.
    """
    kept = _kept(request.session, user, now=time.time())
    found = next((kept[url] for url in urls if url in kept), None)
    return found["fields"] if found else {}


def restore(form: Form, typed: Mapping[str, list[str]]) -> None:
    """Have an unbound form show what was typed.

    Hidden fields stay as this page has them: they say what the person sees now.
    """
    if form.is_bound or not typed:
        return
    for field in form.visible_fields():
        if typed.get(field.name):
            form.initial[field.name] = typed[field.name][-1]
    first = next((field for field in form.visible_fields() if field.name in typed), None)
    if first is not None:
        first.field.widget.attrs["autofocus"] = True


def hand_over(kept: Mapping[str, Any], session: SessionBase, user: User) -> None:
    """Give the session of a new sign-in what was kept of the same account's forms."""
    if kept.get("user") == user.pk:
        session[KEPT] = dict(kept)


def _kept(session: SessionBase, user: User, *, now: float) -> dict[str, Any]:
    """Return the forms of this account that are not too old, by the address they were sent to."""
    kept = session.get(KEPT, {})
    if kept.get("user") != user.pk:
        return {}
    return {path: form for path, form in kept["forms"].items() if now - form["at"] < KEPT_SECONDS}


def _page_of(request: PageRequest) -> str:
    """Return the page that a form was on: as htmx or the browser says, else the address above the
    form's own.
    """
    said = request.htmx.current_url if request.htmx else request.headers.get("Referer")
    if said and url_has_allowed_host_and_scheme(
        said, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        parts = urlsplit(said)
        return parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    return request.path.rstrip("/").rpartition("/")[0] + "/"


# -- The way to the provider and back --------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A person who was sent to the provider to sign in again. page: where they come from."""

    state: str
    user: int
    name: str
    page: str


def address(page: str, *, insist: bool = False) -> str:
    """Return where the browser goes to sign in again and come back to a page.

    insist: ask the provider for the person whatever it remembers, after it did not on its own.
    """
    query = {"step_up": "1", "next": page} | ({"fresh": "1"} if insist else {})
    return f"{settings.LOGIN_URL}?{urlencode(query)}"


def note_asked(request: HttpRequest, user: User, provider_url: str, page: str) -> None:
    """Remember that this browser was sent to the provider for a fresh sign-in of this account."""
    state = parse_qs(urlsplit(provider_url).query)["state"][0]
    request.session[ASKED] = asdict(Asked(state, user.pk, user.name, page))


def asked(request: HttpRequest) -> Asked | None:
    """Return who was asked to sign in again, where the callback answers that; None for any other
    sign-in.
    """
    found = request.session.get(ASKED)
    if not found or found["state"] != request.GET.get("state"):
        return None
    return Asked(**found)
