"""Pages of closing a month, and of the statements that were issued."""

from collections.abc import Callable
from datetime import date
from functools import partial
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.audit.timeline import timeline
from apps.chargeback.api import parse_month
from apps.chargeback.closing import actions, checklist, queries, tables
from apps.chargeback.closing.models import MonthClose, Statement
from apps.chargeback.closing.statements import COST, LIST, total_of
from apps.chargeback.documents import pages as documents
from apps.common import decisions
from apps.common.badges import Badge
from apps.common.errors import DomainError
from apps.common.money import usd
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.periods import month_before, month_of, next_month
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond

RELATED = ("requested_by", "decided_by")
STATES = {
    checklist.OK: Badge("ok", "", "Done"),
    checklist.OPEN: Badge("bad", "", "Open"),
    checklist.ACCEPTED: Badge("warn", "", "Accepted"),
    checklist.UNCHECKED: Badge("draft", "", "Not checked"),
}


def _require_reader(user: User) -> None:
    if not user.has_role(*SEES_ALL_MONEY):
        raise Http404


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        ("Chargeback", reverse("chargeback:month")),
        ("Closed months", reverse("chargeback:month_close_list")),
        *rest,
    ]


@require_GET
def month_close_list(request: SignedIn) -> HttpResponseBase:
    """List the closes, newest first; the same as CSV."""
    _require_reader(request.user)
    context = {
        "crumbs": _crumbs()[:1] + [("Closed months", "")],
        "actions": _close_button(request.user),
    }
    rows = MonthClose.objects.select_related(*RELATED)
    return respond(tables.CLOSES, request, rows, "chargeback/closing/list.html", context)


def _close_button(user: User) -> list[dict[str, str]]:
    if not actions.may_ask(user):
        return []
    month = _next_to_close()
    url = reverse("chargeback:month_close_create", args=[f"{month:%Y-%m}"])
    return [{"label": f"Close {month:%B %Y}…", "url": url, "style": "primary"}]


def _next_to_close() -> date:
    """Return the month after the last closed one; last month before the first close."""
    last = queries.last_closed()
    return next_month(last) if last else month_before(month_of(now()))


class CloseForm(forms.Form):
    """Why a month is closed, and why what is open is accepted as it is."""

    justification = forms.CharField(
        label="What you checked",
        help_text="The person who closes the month reads it. It is kept in the audit record.",
        widget=forms.Textarea(attrs={"rows": 2}),
        min_length=10,
        max_length=2000,
    )

    def __init__(self, data: object, *, found: list[checklist.Check]) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        for check in found:
            if check.stops and check.may_accept:
                self.fields[f"accept_{check.key}"] = forms.CharField(
                    label=f"Why it is accepted: {check.title}",
                    help_text=f"{check.words} Leave it empty to mend it first.",
                    widget=forms.Textarea(attrs={"rows": 2}),
                    max_length=1000,
                    required=False,
                )

    @property
    def reasons(self) -> dict[str, str]:
        """Return key of the checklist → why it is accepted. Call it after is_valid()."""
        prefix = "accept_"
        values = self.cleaned_data.items()
        return {key.removeprefix(prefix): text for key, text in values if key.startswith(prefix)}


@require_http_methods(["GET", "POST"])
def month_close_create(request: SignedIn, month: str) -> HttpResponse:
    """Show what a close of the month would issue and what stands in its way; ask for it."""
    _require_reader(request.user)
    chosen, moment = parse_month(month), now()
    found = checklist.checks(chosen, moment)
    form = CloseForm(request.POST or None, found=found)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.ask_to_close(
                month=chosen,
                requester=request.user,
                justification=form.cleaned_data["justification"],
                reasons=form.reasons,
                now=moment,
            )
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Asked for. Another finance person closes the month, or not.")
            return redirect(made)
    stopping = [check for check in found if check.stops]
    context = _preview(chosen) | {
        "title": f"Close {chosen:%B %Y}",
        "crumbs": _crumbs((f"{chosen:%B %Y}", "")),
        "checks": [(check, STATES[check.state]) for check in found],
        "stopped": any(not check.may_accept for check in stopping),
        "form": form,
        "may_ask": actions.may_ask(request.user),
    }
    status = 422 if form.is_bound else 200
    return render(request, "chargeback/closing/form.html", context, status=status)


def _preview(month: date) -> dict[str, object]:
    """Return the statements that a close would issue now."""
    made = queries.preview(month)
    return {
        "drafts": [
            (draft, draft.cost_center or tables.NOBODYS, draft.total(LIST), draft.total(COST))
            for draft in made
        ],
        "list_usd": total_of(made, LIST),
        "cost_usd": total_of(made, COST),
    }


@require_GET
def month_close_detail(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """Show one close: the checklist as it was seen, the statements, who decided."""
    return _show(request, _close_for(request.user, pk), ReasonForm())


def _close_for(user: User, pk: UUID) -> MonthClose:
    _require_reader(user)
    return get_object_or_404(MonthClose.objects.select_related(*RELATED), pk=pk)


def _show(
    request: SignedIn, item: MonthClose, form: ReasonForm, status: int = 200
) -> HttpResponseBase:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="chargeback:month_close",
        approve=f"Close {item.month:%B %Y} and issue the statements",
    )
    context = {
        "item": item,
        "title": f"Close of {item.month:%B %Y}",
        "crumbs": _crumbs((f"{item.month:%B %Y}", "")),
        "badge": tables.close_badge(item),
        "checks": [(check, STATES[check["state"]]) for check in item.checklist],
        "facts": _facts(item),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("MonthClose", str(item.pk)),
    }
    if item.status == MonthClose.Status.PENDING:
        context |= _preview(item.month)
    answer = respond(
        tables.STATEMENTS,
        request,
        item.statements.select_related("document"),
        "chargeback/closing/detail.html",
        context,
    )
    answer.status_code = status
    return answer


def _facts(item: MonthClose) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("By the price list", usd(item.list_usd)),
        ("Machine cost", usd(item.cost_usd)),
        ("What was checked", item.justification),
        ("Asked for by", f"{item.requested_by}, {item.requested_at:%d %b %Y %H:%M} UTC"),
    ]
    if item.decided_by and item.decided_at:
        facts += [
            ("Decided by", f"{item.decided_by}, {item.decided_at:%d %b %Y %H:%M} UTC"),
            ("Reason", item.decision_reason),
        ]
    return [*facts, ("Digest", {"text": item.digest, "mono": True, "copy": True})]


@require_POST
def month_close_approve(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """Close the month."""
    return _decide(request, pk, actions.close_month, "Closed. The statements are issued.")


@require_POST
def month_close_reject(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """Reject the close."""
    return _decide(request, pk, actions.reject_close, "Rejected. The month stays open.")


def _decide(
    request: SignedIn, pk: UUID, action: Callable[..., object], done: str
) -> HttpResponseBase:
    item = _close_for(request.user, pk)
    order = partial(action, item=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)


@require_POST
def month_close_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take the request back."""
    item = _close_for(request.user, pk)
    order = partial(actions.withdraw_close, item=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect(item)


@require_GET
def statement_detail(request: SignedIn, number: str) -> HttpResponseBase:
    """Show one statement with its lines; the same as CSV."""
    rows = Statement.objects.visible_to(request.user).select_related("close")
    statement = get_object_or_404(rows, number=number)
    close = statement.close
    context = {
        "statement": statement,
        "pdf": documents.card(statement, request.user),
        "title": f"Statement {statement.number}",
        "crumbs": _crumbs(
            (f"{close.month:%B %Y}", close.get_absolute_url()), (statement.number, "")
        ),
        "facts": [
            ("Cost center", statement.cost_center or tables.NOBODYS),
            ("Month", f"{close.month:%B %Y}"),
            ("By the price list", usd(statement.list_usd)),
            ("Machine cost", usd(statement.cost_usd)),
            ("Margin", usd(statement.list_usd - statement.cost_usd)),
            ("Issued", f"{statement.issued_at:%d %b %Y %H:%M} UTC"),
            ("Digest", {"text": statement.digest, "mono": True, "copy": True}),
        ],
    }
    lines = statement.lines.select_related("statement__close")
    return respond(tables.LINES, request, lines, "chargeback/closing/statement.html", context)
