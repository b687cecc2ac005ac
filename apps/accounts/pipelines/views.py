"""Pages of pipelines: which are let in and by what rule, proposing one, deciding about it, and
shutting one out.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.pipelines import actions, queries, words
from apps.accounts.pipelines.forms import RuleForm
from apps.accounts.pipelines.models import PipelineChange, PipelineRule
from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_PIPELINES
from apps.audit.timeline import timeline
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.rulings import beside_former

RELATED = ("team", "before", "requested_by", "decided_by")
SHOWN_RUNS = 20


@require_GET
def pipeline_list(request: SignedIn) -> HttpResponse:
    """Show every pipeline with what it may do, and the rules that wait for a decision."""
    _require_role(request.user)
    seen = queries.last_seen()
    rules = PipelineRule.objects.visible_to(request.user).newest().select_related("team")
    waiting = PipelineChange.objects.visible_to(request.user).pending().select_related(*RELATED)
    context = {
        "lines": [_line(rule, seen) for rule in rules],
        "waiting": waiting,
        "actions": _propose_button(request.user),
    }
    return render(request, "accounts/pipelines/list.html", context)


def _line(rule: PipelineRule, seen: dict[str, object]) -> dict[str, object]:
    return {
        "rule": rule,
        "says": rule.rule,
        "badge": words.rule_badge(rule),
        "seen": seen.get(rule.name),
    }


def _require_role(user: User) -> None:
    """Hide pipelines from those who neither propose, decide nor oversee."""
    if not user.has_role(*OVERSEES_PIPELINES):
        raise Http404


def _propose_button(user: User) -> list[dict[str, str]]:
    if not actions.may_propose(user):
        return []
    url = reverse("accounts:pipeline_create")
    return [{"label": "Propose a pipeline", "url": url, "style": "primary"}]


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Pipelines", reverse("accounts:pipeline_list")), *rest]


@require_GET
def pipeline_detail(request: SignedIn, name: str) -> HttpResponse:
    """Show a pipeline: its rule, the rules before it, and the runs that signed in."""
    return _show_pipeline(request, name, ReasonForm())


def _show_pipeline(
    request: SignedIn, name: str, form: ReasonForm, status: int = 200
) -> HttpResponse:
    _require_role(request.user)
    rules = queries.rules_of(name)
    if not rules:
        raise Http404
    newest = rules[0]
    may_change = actions.may_propose(request.user)
    change = {"label": "Propose another rule", "style": "primary"}
    change["url"] = reverse("accounts:pipeline_change", args=[name])
    context = {
        "title": name,
        "crumbs": _crumbs((name, "")),
        "badge": words.rule_badge(newest),
        "rule": newest,
        "words": words.words_of(newest.rule),
        "history": [_revision(*pair) for pair in beside_former(rules)],
        "runs": queries.runs_of(name, SHOWN_RUNS),
        "may_end": newest.ended_at is None and actions.may_end(newest, request.user),
        "form": form,
        "actions": [change] if may_change else [],
    }
    return render(request, "accounts/pipelines/detail.html", context, status=status)


def _revision(rule: PipelineRule, before: PipelineRule | None) -> dict[str, object]:
    diff = words.difference(before.rule, rule.rule) if before else []
    return {"rule": rule, "diff": diff}


@require_http_methods(["GET", "POST"])
def pipeline_create(request: SignedIn) -> HttpResponse:
    """Propose the first rule of a pipeline."""
    _require_role(request.user)
    actions.permit_proposing(request.user)
    first: dict[str, object] = {"team": request.user.team, "events": ["push"]}
    return _form(request, "Propose a pipeline", _crumbs(("New", "")), first, None)


@require_http_methods(["GET", "POST"])
def pipeline_change(request: SignedIn, name: str) -> HttpResponse:
    """Propose another rule for a pipeline."""
    _require_role(request.user)
    actions.permit_proposing(request.user)
    rule = queries.newest(name)
    if rule is None:
        raise Http404
    crumbs = _crumbs((name, rule.get_absolute_url()), ("Change", ""))
    shown = RuleForm.initial_of(name, rule.team, rule.rule)
    return _form(request, f"Change the rule of {name}", crumbs, shown, rule)


def _form(
    request: SignedIn,
    title: str,
    crumbs: list[tuple[str, str]],
    shown: dict[str, object],
    rule: PipelineRule | None,
) -> HttpResponse:
    sent = request.POST if request.method == "POST" else None
    form = RuleForm(sent, initial=shown, person=request.user)
    if rule is not None:
        form.fields["name"].disabled = form.fields["team"].disabled = True
        form.fields["team"].queryset = type(rule.team).objects.filter(pk=rule.team_id)  # type: ignore[attr-defined]
    made = _propose(request.user, form) if sent is not None else None
    if made is not None:
        messages.success(request, f"Proposed. A {actions.DECIDER} decides.")
        return redirect(made.get_absolute_url())
    context = {
        "title": title,
        "crumbs": crumbs,
        "form": form,
        "rule": rule,
        "words": words.words_of(rule.rule) if rule else [],
        "back": crumbs[-2][1],
    }
    status = 200 if sent is None else 422
    return render(request, "accounts/pipelines/form.html", context, status=status)


def _propose(person: User, form: RuleForm) -> PipelineChange | None:
    """Propose what the form says; None, with the errors on the form, where that cannot be."""
    if not form.is_valid():
        return None
    try:
        return actions.propose_rule(
            name=form.cleaned_data["name"],
            team=form.cleaned_data["team"],
            rule=form.rule(),
            justification=form.cleaned_data["justification"],
            requester=person,
            now=now(),
        )
    except DomainError as error:
        form.add_error(None, str(error))
        return None


@require_POST
def pipeline_end(request: SignedIn, name: str) -> HttpResponse:
    """Shut a pipeline out."""
    _require_role(request.user)
    rule = queries.newest(name)
    if rule is None:
        raise Http404
    order = partial(actions.end_pipeline, rule=rule, actor=request.user, now=now())
    done = f"{name} is shut out. Its runs can do nothing any more."
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show_pipeline(request, name, refused, status=422)
    return redirect("accounts:pipeline_detail", name=name)


@require_GET
def pipeline_change_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a proposed rule: what it changes, who proposed it and why, and who decided."""
    return _show(request, _change_for(request.user, pk), ReasonForm())


def _change_for(user: User, pk: UUID) -> PipelineChange:
    rows = PipelineChange.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, item: PipelineChange, form: ReasonForm, status: int = 200
) -> HttpResponse:
    decide = decisions.card(
        actions.question(item, request.user),
        urls="accounts:pipeline_change",
        approve="Let it in by this rule",
    )
    where = item.before.get_absolute_url() if item.before else ""
    context = {
        "item": item,
        "title": f"Rule of the pipeline {item.name}",
        "crumbs": _crumbs((item.name, where), ("Change", "")),
        "badge": decisions.BADGES[item.status],
        "facts": _facts(item),
        "diff": words.difference(item.before.rule if item.before else None, item.rule),
        "words": words.words_of(item.rule),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("PipelineChange", item.pk),
    }
    return render(request, "accounts/pipelines/change.html", context, status=status)


def _facts(item: PipelineChange) -> list[tuple[str, object]]:
    return [
        ("Pipeline", item.name),
        ("Team", item.team.name),
        ("Changes", f"rule {item.before.number}" if item.before else "nothing: it is new"),
        ("Why", item.justification),
        ("Proposed by", f"{item.requested_by} ({item.requested_by.username})"),
        *decisions.decided_facts(item),
    ]


@require_POST
def pipeline_change_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Put a proposed rule in force."""
    return _decide(request, pk, actions.approve_rule, "The pipeline is let in by this rule now.")


@require_POST
def pipeline_change_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject a proposed rule."""
    done = "Rejected. Whoever proposed it sees your reason."
    return _decide(request, pk, actions.reject_rule, done)


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _change_for(request.user, pk)
    order = partial(action, change=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("accounts:pipeline_change_detail", pk=pk)


@require_POST
def pipeline_change_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take a proposed rule back."""
    item = _change_for(request.user, pk)
    order = partial(actions.withdraw_rule, change=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("accounts:pipeline_change_detail", pk=pk)
