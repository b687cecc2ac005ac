"""The page of a grant: its limits, its use, renewing it, looking at it again, and ending it."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.access import actions, tables, words
from apps.access.budgets.actions import may_ask
from apps.access.budgets.models import Budget, in_unit
from apps.access.budgets.queries import of_grants
from apps.access.budgets.terms import mode_words
from apps.access.forms import budget_of
from apps.access.handed import UseOf
from apps.access.models import AccessRequest, Grant
from apps.access.recertification import actions as recertification
from apps.access.recertification.models import with_due
from apps.access.recertification.queries import period
from apps.access.recertification.words import BADGES, LATER, due_words, state_of
from apps.access.wishes import Wish, renewal
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline_of
from apps.common.badges import Badge
from apps.common.orders import carry_out_with_reason
from apps.common.periods import ZONE_NAME, day_of, day_words
from apps.common.reasons import ReasonForm

# portal/pages/grants.py, which stands above this app, has the page
GRANTS_URL = reverse_lazy("grant_list")


@require_GET
def grant_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one grant: its limits, its end, what it used."""
    return _show_grant(request, _grant_for(request.user, pk), ReasonForm())


def _grant_for(user: User, pk: UUID) -> Grant:
    rows = Grant.objects.visible_to(user).select_related(
        "registered_model__owner_team", "team", "request", "revoked_by"
    )
    return get_object_or_404(rows, pk=pk)


def _show_grant(
    request: SignedIn, grant: Grant, form: ReasonForm, status: int = 200
) -> HttpResponse:
    moment = now()
    active = grant.is_active(moment)
    budget = of_grants([grant], moment).get(grant.pk)
    look = _look(grant, request.user, moment) if active else None
    context = {
        "grant": grant,
        "title": f"{grant.team} may call {grant.registered_model}"
        if active
        else f"{grant.team} · {grant.registered_model}",
        "crumbs": [
            ("Access", reverse("access:request_list")),
            ("Grants", GRANTS_URL),
            (str(grant), ""),
        ],
        "badge": tables.grant_badge(grant, moment),
        "facts": [*_grant_facts(grant, budget), *([("Next look", look.fact)] if look else [])],
        "form": form,
        "actions": _budget_links(budget, request.user) if active else [],
        "renewal": _renewal(grant, budget, request.user, moment),
        "look": look,
        "may_revoke": active and actions.may_revoke(grant, request.user),
        "events": timeline_of([("AccessRequest", grant.request_id), ("Grant", grant.pk)]),
    }
    return render(request, "access/grant_detail.html", context, status=status)


def _budget_links(budget: Budget | None, user: User) -> list[dict[str, str]]:
    """Return where the budget is changed and boosted, for those who may ask for it."""
    if budget is None or not may_ask(budget, user):
        return []
    pages = (("Change the budget…", "budget_change"), ("Ask for a boost…", "boost_create"))
    return [
        {"label": label, "url": reverse(f"chargeback:{page}", args=[budget.series])}
        for label, page in pages
    ]


@dataclass(frozen=True)
class Renewal:
    """What the grant's page says of its renewal: one that waits, or what one click asks for.

    wish: the same limits for as long again. form_url: where other limits are asked for.
    """

    waits: AccessRequest | None
    wish: Wish
    form_url: str


def _renewal(grant: Grant, budget: Budget | None, user: User, moment: datetime) -> Renewal | None:
    """Return what those who may renew the grant read; None for others, and for one that somebody
    ended.
    """
    if grant.revoked_at or not actions.may_renew(grant, user):
        return None
    waits = AccessRequest.objects.pending().filter(
        team=grant.team_id, registered_model=grant.registered_model_id
    )
    asking = reverse("access:request_create", args=[grant.registered_model.name])
    return Renewal(
        waits=waits.first(),
        wish=renewal(grant, budget_of(grant, budget), moment),
        form_url=f"{asking}?renew={grant.pk}",
    )


@dataclass(frozen=True)
class Look:
    """What the grant's page says of looking at it again. words: by when. who: who keeps or ends it,
    where the reader does not; "" where they do. kept_at: when somebody kept it last.
    """

    badge: Badge
    words: str
    is_due: bool
    who: str
    kept_at: datetime | None

    @property
    def fact(self) -> str:
        """Return it as a line of the grant's facts."""
        kept = f", kept last on {day_words(day_of(self.kept_at))}" if self.kept_at else ""
        return f"{self.words}{kept}. {self.who}"


def _look(grant: Grant, user: User, moment: datetime) -> Look | None:
    """Return when a grant in force is looked at again; None where it ends before. One query."""
    found = with_due(Grant.objects.filter(pk=grant.pk), period()).first()
    if found is None:
        return None
    question = recertification.question(grant, user)
    decides = question.is_decider and not question.is_own
    state = state_of(found.due_at, moment)
    return Look(
        badge=BADGES[state],
        words=due_words(found.due_at, moment),
        is_due=state != LATER,
        who="" if decides else f"{question.who[0].upper()}{question.who[1:]} keeps or ends it.",
        kept_at=found.kept_at,
    )


def _grant_facts(grant: Grant, budget: Budget | None) -> list[tuple[str, object]]:
    model = grant.registered_model
    facts: list[tuple[str, object]] = [
        ("Model", {"text": model.name, "url": reverse("catalog:model_detail", args=[model.name])}),
        ("Tokens per minute", f"{grant.tokens_per_minute:,}, enforced by the gateway"),
        *words.terms_rows(grant),
        ("Monthly budget", _budget_fact(budget)),
        ("Active from", f"{grant.active_from:%d %b %Y %H:%M} UTC"),
        ("Ends", f"at the end of {day_words(grant.last_day)}, {ZONE_NAME}"),
        (
            "Request",
            {
                "text": "the request that it came from",
                "url": reverse("access:request_detail", args=[grant.request_id]),
            },
        ),
    ]
    if grant.revoked_at:
        facts.append(
            (
                "Revoked",
                f"{grant.revoked_at:%d %b %Y %H:%M} UTC by {grant.revoked_by}: "
                f"{grant.revoke_reason}",
            )
        )
    return facts


def _budget_fact(budget: Budget | None) -> object:
    """Return what a grant's team may spend on its model in a month, with the budget's page."""
    if budget is None:
        return "none"
    text = f"{in_unit(budget.amount, budget.unit)}. {mode_words(budget.mode)}"
    return {"text": text, "url": budget.get_absolute_url()}


@require_POST
def grant_revoke(request: SignedIn, pk: UUID) -> HttpResponse:
    """End a grant now."""
    grant = _grant_for(request.user, pk)
    order = partial(actions.revoke_grant, grant=grant, actor=request.user, now=now())
    done = "Revoked. The gateway refuses the team within seconds."
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show_grant(request, grant, refused, status=422)
    return redirect("access:grant_detail", pk=pk)


@require_POST
def grant_keep(request: SignedIn, pk: UUID, use_of: UseOf) -> HttpResponse:
    """Keep a grant that is due to be looked at again. use_of: what it was used for, which stands
    above this app; portal/pages/access_urls.py hands it in.
    """
    grant, moment = _grant_for(request.user, pk), now()
    order = partial(
        recertification.keep_grant,
        grant=grant,
        owner=request.user,
        period=period(),
        use=use_of(grant, moment),
        now=moment,
    )
    refused = carry_out_with_reason(request, order, "Kept. Its owners look at it again later.")
    if refused is not None:
        return _show_grant(request, grant, refused, status=422)
    return redirect("access:grant_detail", pk=pk)
