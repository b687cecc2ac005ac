"""Signing in and out, and the pages about the person who is signed in."""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import auth, messages
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from apps.accounts import actions, sessions, step_up
from apps.accounts.claims import ClaimsRefused, role_of_group
from apps.accounts.models import Role, User
from apps.accounts.oidc import session_of_sign_in
from apps.accounts.provider import ProviderUnavailable, provider
from apps.accounts.requests import SignedIn
from apps.accounts.tokens import TokenRefused
from apps.common.sign_ins import Lack, SignIn
from apps.integrations.oidc.client import GrantRefused

UNAVAILABLE = {
    "title": "You cannot sign in right now",
    "why": "The identity provider does not answer. Quartermaster itself is up.",
    "todo": "Try again in a minute. If it keeps happening, tell your identity team.",
    "action_label": "Try again",
}
INTERRUPTED = {
    "title": "This sign-in was not finished",
    "why": "It was started in another browser, was used before, or took too long.",
    "todo": "Start it again from here.",
    "action_label": "Sign in",
}
SIGNED_IN_AGAIN = "You signed in again. Nothing is decided yet: look once more, then decide."
NOT_AGAIN = {
    "title": "You did not sign in again, so nothing was decided",
    "todo": "What you wrote is kept. Sign in again, or go back to the page.",
    "action_label": "Sign in again",
}
STILL_STALE = {
    "title": "This sign-in does not do for a decision, so nothing was decided",
    "todo": "What you wrote is kept. Try again; if it keeps happening, tell your identity team.",
    "action_label": "Sign in again",
}
WHY_STILL_STALE = {
    Lack.TIME: "The identity provider did not say when you signed in (auth_time).",
    Lack.FRESHNESS: "The identity provider let you in without asking you again (max_age).",
    Lack.METHOD: "The identity provider did not say how you signed in (acr).",
    Lack.OTHER_METHOD: "The identity provider let you in by another way than was asked for (acr).",
}
REFUSED_BY_PROVIDER = {
    "access_denied": "You, or the identity provider, refused the sign-in.",
    "login_required": "The identity provider wants you to sign in again.",
}


def _sign_in_error(request: HttpRequest, text: dict[str, str], status: int) -> HttpResponse:
    context = text | {"action_url": settings.LOGIN_URL, "status": status}
    return render(request, "accounts/sign_in_error.html", context, status=status)


def _unavailable(request: HttpRequest, error: ProviderUnavailable) -> HttpResponse:
    answer = _sign_in_error(request, UNAVAILABLE, 503)
    answer["Retry-After"] = str(error.retry_after)
    return answer


class SignInView(OIDCAuthenticationRequestView):  # type: ignore[misc]
    """Sends the browser to the identity provider. ?fresh=1 asks for the person again, ?team=1 for
    another team, ?step_up=1 for a sign-in that is fresh enough to decide.
    """

    OIDC_OP_AUTH_ENDPOINT = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super(OIDCAuthenticationRequestView, self).__init__(*args, **kwargs)
        self.OIDC_RP_CLIENT_ID = settings.OIDC_RP_CLIENT_ID

    def get(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the provider, or say that it does not answer."""
        try:
            self.OIDC_OP_AUTH_ENDPOINT = provider().authorization_endpoint
        except ProviderUnavailable as error:
            return _unavailable(request, error)
        answer: HttpResponse = super().get(request)
        if request.GET.get("step_up") and isinstance(request.user, User):
            page = request.session["oidc_login_next"] or settings.LOGIN_REDIRECT_URL
            step_up.note_asked(request, request.user, answer["Location"], page)
        return answer

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        """Ask for the gateway's audience, and for the person again where the link says so."""
        extra: dict[str, str] = dict(settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS)
        if request.GET.get("fresh"):
            extra["prompt"] = "login"
        elif request.GET.get("team"):
            extra["prompt"] = "select_account"
        if request.GET.get("step_up"):
            extra |= step_up.wanted()
        return extra


class CallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]
    """Takes the provider's answer: a session with a new id, or a page that says why not."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Finish the sign-in. Who was only asked to sign in again, and did not, stays signed in."""
        asked = step_up.asked(request)
        if asked and request.GET.get("error"):
            return _not_again(request, asked, self._why_refused())
        try:
            answer: HttpResponse = super().get(request)
        except ProviderUnavailable as error:
            return _unavailable(request, error)
        except (TokenRefused, ClaimsRefused) as error:
            return _sign_in_error(request, INTERRUPTED | {"why": str(error)}, 400)
        except (GrantRefused, SuspiciousOperation):
            return _sign_in_error(request, INTERRUPTED, 400)
        return answer

    def login_success(self) -> HttpResponse:
        """Give the session a new id, whoever was signed in before, and fill it."""
        user, request, next_url = self.user, self.request, self.success_url
        asked, kept = step_up.asked(request), request.session.get(step_up.KEPT, {})
        request.session.flush()
        auth.login(request, user)
        session_of_sign_in(request, user)
        step_up.hand_over(kept, request.session, user)
        if asked is None:
            return HttpResponseRedirect(next_url)
        return _signed_in_again(request, user, asked)

    def login_failure(self) -> HttpResponse:
        """Say why, with a way to start again; never a redirect that could go round."""
        error = self.request.GET.get("error", "")
        if not error:
            return _sign_in_error(self.request, INTERRUPTED, 400)
        return _sign_in_error(
            self.request,
            INTERRUPTED | {"why": self._why_refused()},
            403 if error == "access_denied" else 400,
        )

    def _why_refused(self) -> str:
        """Return what the provider's error means."""
        error = self.request.GET.get("error", "")
        return REFUSED_BY_PROVIDER.get(
            error, "The identity provider ended the sign-in with an error."
        )


def _signed_in_again(request: HttpRequest, user: User, asked: step_up.Asked) -> HttpResponse:
    """Lead somebody who was asked to sign in again back to their page, or say what is wrong."""
    if asked.user != user.pk:
        return _other_person(request, user, asked)
    sign_in = step_up.sign_in_of_session(request.session, now=time.time())
    if sign_in.lack:
        return _still_stale(request, sign_in, asked)
    messages.success(request, SIGNED_IN_AGAIN)
    return HttpResponseRedirect(asked.page)


def _still_stale(request: HttpRequest, sign_in: SignIn, asked: step_up.Asked) -> HttpResponse:
    """Say what the provider left out. The next try asks for the person whatever it remembers."""
    why = f"{WHY_STILL_STALE[sign_in.lack]} {sign_in.words}" if sign_in.lack else ""
    return _again(request, STILL_STALE | {"why": why}, asked)


def _not_again(request: HttpRequest, asked: step_up.Asked, why: str) -> HttpResponse:
    """Say that the provider sent the person back without a sign-in."""
    request.session.pop(step_up.ASKED)
    request.session.get("oidc_states", {}).pop(asked.state, None)
    return _again(request, NOT_AGAIN | {"why": why}, asked)


def _again(request: HttpRequest, text: dict[str, str], asked: step_up.Asked) -> HttpResponse:
    """Answer with a way to sign in again and one back to the page."""
    ways = {
        "action_url": step_up.address(asked.page, insist=True),
        "back_url": asked.page,
        "back_label": "Back to the page",
    }
    context = text | ways | {"status": 403}
    return render(request, "accounts/sign_in_error.html", context, status=403)


def _other_person(request: HttpRequest, user: User, asked: step_up.Asked) -> HttpResponse:
    """Say that somebody else signed in: they go on as themselves, without what the other wrote."""
    context = {
        "title": "Somebody else signed in, so nothing was decided",
        "why": f"{asked.name} was about to decide, and you signed in as {user.name}. "
        f"What {asked.name} wrote was dropped.",
        "todo": f"Go on as {user.name}, or sign in as {asked.name} and decide again.",
        "action_url": f"{settings.LOGIN_URL}?{urlencode({'fresh': 1, 'next': asked.page})}",
        "action_label": f"Sign in as {asked.name}",
        "back_url": asked.page,
        "back_label": f"Go on as {user.name}",
        "status": 409,
    }
    return render(request, "accounts/sign_in_error.html", context, status=409)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session here and at the identity provider."""
    if not isinstance(request.user, User):
        return redirect("accounts:signed_out")
    target = _end_session_url(request)
    actions.record_sign_out(user=request.user, reason="asked", now=timezone.now())
    auth.logout(request)
    return HttpResponseRedirect(target)


def _end_session_url(request: HttpRequest) -> str:
    """Return where the provider ends its own session; our own page where it cannot be asked."""
    here = request.build_absolute_uri(settings.LOGOUT_REDIRECT_URL)
    try:
        end_session = provider().end_session_endpoint
    except ProviderUnavailable:
        return here
    if not end_session:
        return here
    hint = sessions.stored_tokens(request.session).get("id_token", "")
    asked = {
        "id_token_hint": hint,
        "client_id": settings.OIDC_RP_CLIENT_ID,
        "post_logout_redirect_uri": here,
    }
    return f"{end_session}?{urlencode({name: value for name, value in asked.items() if value})}"


def me(request: SignedIn) -> HttpResponse:
    """Show who the portal takes the person for, and what they may do."""
    session = request.session
    context = {
        "roles": [Role(role).label for role in sorted(request.user.roles)],
        "team": request.user.team,
        "facts": session.get(sessions.FACTS, {}),
        "signed_in_at": _moment(
            session.get(sessions.AUTH_TIME) or session.get(sessions.STARTED_AT)
        ),
        "ends_at": _moment(
            session.get(sessions.STARTED_AT, time.time()) + settings.SESSION_COOKIE_AGE
        ),
        "idle_minutes": settings.SESSION_IDLE_SECONDS // 60,
        "issuer": settings.OIDC_ISSUER,
    }
    return render(request, "accounts/me.html", context)


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None


def no_access(request: SignedIn) -> HttpResponse:
    """Say what is missing for a person without a role, and whom to ask."""
    if request.user.roles:
        return redirect("home")
    facts = request.session.get(sessions.FACTS, {})
    known = [(group, role.label) for group, role in role_of_group().items()]
    context = {"facts": facts, "known_groups": known, "issuer": settings.OIDC_ISSUER}
    return render(request, "accounts/no_access.html", context, status=403)


def signed_out(request: HttpRequest) -> HttpResponse:
    """Say that the person has signed out."""
    return render(request, "accounts/signed_out.html")
