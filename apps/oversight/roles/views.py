"""The roles that are looked at again: the due list, and the page on which one is kept or taken
away; for those who oversee the record.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.recertification import actions
from apps.accounts.recertification.models import RoleReview, withheld_from
from apps.accounts.requests import SignedIn
from apps.accounts.roles import abilities_of, both_parts_of
from apps.audit.timeline import timeline_of
from apps.common import decisions
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.oversight.record.views import require_reader
from apps.oversight.roles.tables import REVIEWS, badge, page_of

Status = RoleReview.Status


@require_GET
def role_review_list(request: SignedIn) -> HttpResponseBase:
    """List the roles that are due to be looked at, and those that were; as a page, a table or
    CSV.
    """
    require_reader(request)
    moment = now()
    context = {
        "crumbs": [("Audit", reverse("oversight:event_list")),
                   ("Access report", reverse("oversight:access_report")), ("Roles due", "")],
        "days": settings.ROLE_RECERTIFICATION_DAYS,
        "overdue": RoleReview.objects.overdue(moment).count(),
        "due": RoleReview.objects.due_after(moment).count(),
        "taken": RoleReview.objects.filter(status=Status.TAKEN).count(),
    }  # fmt: skip
    return respond(REVIEWS, request, _reviews(), "oversight/roles/list.html", context)


@require_GET
def role_review(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one role of one person: what it allows, and whether it is kept."""
    require_reader(request)
    return _show(request, get_object_or_404(_reviews(), pk=pk), ReasonForm())


@require_POST
def role_review_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Keep a role."""
    return _decide(request, pk, actions.keep_role, "The role is kept.")


@require_POST
def role_review_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take a role away."""
    return _decide(request, pk, actions.take_role, "The role is taken away.")


@require_POST
def role_review_again(request: SignedIn, pk: UUID) -> HttpResponse:
    """Ask for another look at a role that was taken away."""
    require_reader(request)
    review = get_object_or_404(_reviews(), pk=pk)
    order = partial(actions.look_again, review=review, actor=request.user, now=now())
    made = carry_out(request, order, "Somebody is asked to look at it again.")
    return redirect(page_of(made or review))


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    require_reader(request)
    review = get_object_or_404(_reviews(), pk=pk)
    order = partial(action, review=review, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, review, refused, 422)
    return redirect(page_of(review))


def _show(request: SignedIn, review: RoleReview, form: ReasonForm, code: int = 200) -> HttpResponse:
    holder = review.requested_by
    context = {
        "review": review,
        "title": str(review),
        "crumbs": [
            ("Audit", reverse("oversight:event_list")),
            ("Roles due", reverse("oversight:role_review_list")),
            (str(review), ""),
        ],
        "badge": badge(review),
        "facts": _facts(review, holder),
        "decide": _card(review, request.user),
        "form": form,
        "may_ask": review.status == Status.TAKEN and review.role in withheld_from(holder),
        "events": timeline_of([("RoleReview", review.pk), ("User", holder.pk)]),
    }
    return render(request, "oversight/roles/detail.html", context, status=code)


def _card(review: RoleReview, user: User) -> decisions.Card | None:
    card = decisions.card(
        actions.question(review, user), urls="oversight:role_review", approve="Keep the role"
    )
    return replace(card, reject="Take the role away") if card else None


def _facts(review: RoleReview, holder: User) -> list[tuple[str, object]]:
    held = holder.role_bindings.filter(role=review.role).first()
    may = "; ".join(one.words for one in abilities_of([review.role]))
    both = ", ".join(one.words for one in both_parts_of(holder.roles))
    facts: list[tuple[str, object]] = [
        ("Person", f"{holder} ({holder.username})"),
        ("Team", str(holder.team) if holder.team else "no team"),
        ("Has it since", f"{held.since:%d %b %Y}" if held else "does not have it now"),
        ("It lets them", may or "decide, where a policy names the role"),
        ("Could ask and decide", f"{both}, never on their own" if both else "no decision"),
        ("Last signed in", f"{holder.last_login:%d %b %Y}" if holder.last_login else "never"),
        ("To be looked at by", f"{review.due_at:%d %b %Y}"),
    ]
    if review.decided_by:
        facts += [("Looked at by", str(review.decided_by)), ("Reason", review.decision_reason)]
    return facts


def _reviews() -> QuerySet[RoleReview]:
    return RoleReview.objects.select_related("requested_by__team", "decided_by")
