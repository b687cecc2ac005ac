"""Pages of promotions: what waits, proposing, the dossier a reviewer decides on. Rollouts:
rollouts/views.py.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import step_up
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import TAKES_EVIDENCE
from apps.audit.timeline import timeline_of
from apps.capacity.queries import buys_only_spot
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common import decisions, diffs
from apps.common.errors import DomainError
from apps.common.orders import carry_out
from apps.common.simulated import Simulated
from apps.common.tables.reading import respond
from apps.evals.pages import is_stand_in, metric_lines, verdict_words
from apps.evals.queries import deciding_runs
from apps.evals.suites.queries import suites_judging
from apps.fleet.costs import MachinePrices, cold_starts
from apps.manifests.serving_settings import USUAL
from apps.promotions import (
    actions,
    dossier,
    proposal,
    queries,
    serving,
    sizing,
    sleep,
    stages,
    tables,
)
from apps.promotions.binding import pages as bound_pages
from apps.promotions.changes import pages as change_pages
from apps.promotions.effects import cost_lines
from apps.promotions.emergencies import pages as emergencies
from apps.promotions.forms import DecisionForm, ProposalForm
from apps.promotions.gates import blocked, evaluate_gates
from apps.promotions.models import Promotion, Rollout, ServingClass
from apps.promotions.policy.queries import rules_for
from apps.promotions.standing import standing

RELATED = (
    "registered_model__owner_team",
    "model_version__registered_model",
    "baseline__registered_model",
    "requested_by",
    "eval_run__suite",
    "policy_revision",
)


@require_GET
def promotion_list(request: SignedIn) -> HttpResponseBase:
    """List promotions, those that wait for the person first; as a page, its table alone, or CSV."""
    rows = stages.with_stage(Promotion.objects.visible_to(request.user).with_version_name())
    waiting = Promotion.objects.to_decide(request.user).select_related(*RELATED)[:20]
    return respond(
        tables.promotions(now()),
        request,
        rows.select_related(*RELATED).prefetch_related(*stages.RESTS_ON),
        "promotions/promotion_list.html",
        {"needs_me": waiting, "actions": _links()},
    )


def _links() -> list[dict[str, str]]:
    """Return the buttons that lead to what stands beside the list."""
    return [
        {"label": "Policy", "url": reverse("promotions:policy_list")},
        {"label": "Emergencies", "url": reverse("promotions:emergency_list")},
    ]


@require_http_methods(["GET", "POST"])
def promotion_create(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Propose a version: what will be bound, what will be committed, what stands in the way."""
    model = get_object_or_404(RegisteredModel.objects.visible_to(request.user), name=name)
    version = get_object_or_404(
        ModelVersion.objects.select_related("registered_model"),
        registered_model=model,
        number=number,
    )
    sized = sizing.suggested(version, request.GET, now())
    served_with = sized or queries.live_settings(model) or USUAL
    form = ProposalForm(
        request.POST or None,
        initial=ProposalForm.suggested(settings.SCALING_PRE_WARM)
        | ProposalForm.showing(served_with),
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.request_promotion(
                version=version, requester=request.user, now=now(), **form.wish()
            )
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            decider = made.policy_revision.rules.decider
            messages.success(request, f"Proposed {version.name}. A {decider} decides.")
            return redirect("promotions:promotion_detail", pk=made.pk)
    gates = evaluate_gates(queries.evidence_for(version, now()))
    suites = suites_judging(model)
    runs = deciding_runs(version, suites)
    run = runs.get(suites[0].pk) if suites else None
    live = queries.live_version(model)
    prices = sleep.prices_of(model.name, served_with, ServingClass.WARM, now())
    context = {
        "model": model,
        "version": version,
        "title": f"Propose {version.name}",
        "crumbs": _crumbs(
            (version.name, reverse("catalog:version_detail", args=[name, number])), ("Propose", "")
        ),
        "lead": f"Callers of {model} would be answered by v{number}. A "
        f"{rules_for(model, now()).rules.decider} who did not propose it decides.",
        "gates": gates,
        "blocked": blocked(gates),
        "may_propose": model.is_owned_by(request.user),
        "waiting": Promotion.objects.pending().filter(registered_model=model).first(),
        "metrics": metric_lines(run) if run else [],
        "verdicts": [(each, verdict_words(each)) for each in runs.values()],
        "live": live,
        "run": run,
        "simulated": Simulated(engine=run is not None and is_stand_in(run)),
        "form": form,
        "is_sized": sized is not None,
        "classes": _classes(model, prices),
        "suggestion": _suggestion(prices),
    }
    return render(
        request, "promotions/promotion_form.html", context, status=422 if form.is_bound else 200
    )


def _classes(model: RegisteredModel, prices: MachinePrices) -> list[tuple[str, str, str, str]]:
    """Return each serving class with its price and what it means."""
    starts = cold_starts(model.name, now())
    words = {
        ServingClass.WARM: sleep.warm_words(prices, only_spot=buys_only_spot()),
        ServingClass.SCALE_TO_ZERO: sleep.sleeping_words(
            starts, prices, settings.SCALING_COOLDOWN_SECONDS
        ),
    }
    figures = {
        ServingClass.WARM: sleep.warm_price(prices),
        ServingClass.SCALE_TO_ZERO: sleep.sleeping_price(prices),
    }
    return [(value, str(value.label), figures[value], words[value]) for value in ServingClass]


def _suggestion(prices: MachinePrices) -> str:
    """Return what the suggested hours would cost; "" where none are suggested."""
    hours = settings.SCALING_PRE_WARM
    return f"Suggested: {sleep.pre_warm_words(hours, prices)}." if hours else ""


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Promotions", reverse("promotions:promotion_list")), *rest]


@require_GET
def promotion_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show the dossier: candidate beside baseline, the evidence, the exact change, who decided and
    what followed.
    """
    promotion = _promotion_for(request.user, pk)
    return _show(request, promotion)


def _promotion_for(user: User, pk: UUID) -> Promotion:
    return get_object_or_404(Promotion.objects.visible_to(user).select_related(*RELATED), pk=pk)


def _show(
    request: SignedIn, promotion: Promotion, form: DecisionForm | None = None, status: int = 200
) -> HttpResponse:
    pending = promotion.status == Promotion.Status.PENDING
    rollout = promotion.newest_rollout()
    kept = dossier.kept(promotion)
    shown = kept or dossier.evidence(promotion, actions.NOT_SHOWN, now())
    gates = shown["conditions"] if pending or kept else []
    decide = _decision(promotion, request.user, holds=all(gate["passed"] for gate in gates))
    version, emergency = promotion.model_version, emergencies.of_promotion(promotion)
    context = {
        "item": promotion,
        "version": version,
        "rollout": rollout,
        "rollout_badge": serving.of_rollout(rollout, now()).badge if rollout else None,
        "title": f"{promotion.registered_model} v{version.number} → production",
        "crumbs": _crumbs((version.name, "")),
        "badge": stages.badge_of(promotion),
        "metrics": shown["metrics"],
        "baseline_run": shown["baseline_run"],
        "rule": shown.get("rule", ""),
        "verdict": shown.get("verdict", ""),
        "more_runs": shown.get("more_runs", []),
        "simulated": Simulated(engine=is_stand_in(promotion.eval_run)),
        "gates": gates,
        "blocked": [gate for gate in gates if not gate["passed"]],
        "facts": _facts(promotion, shown["facts"]),
        "settings": shown["settings"],
        "settings_changes": shown.get("settings_changes", []),
        "kept": kept,
        "approvals": promotion.approvals.select_related("approver"),
        "changes": change_pages.shown(promotion, now()),
        "standing": standing(promotion, now()),
        "bound": bound_pages.shown(promotion.binding, promotion.binding_digest),
        "policy": promotion.policy_revision,
        "policy_slug": promotion.policy_revision.data_class.lower(),
        "may_withdraw": _may_withdraw_start(promotion, request.user),
        "form": form or DecisionForm.of(promotion, shown),
        "decide": decide,
        "emergency": emergency,
        "actions": [
            *(decide.head_actions if decide else []),
            *emergencies.way_in(promotion, request.user),
            *_evidence(promotion, request.user),
            {"label": "Print", "prints": True},
        ],
        "queue": _queue(promotion, request.user),
        "cost": shown.get("cost") or {},
        "cost_lines": cost_lines(shown.get("cost") or {}),
        "events": timeline_of(
            [
                ("Promotion", promotion.pk),
                *([("Emergency", emergency.pk)] if emergency else []),
                *([("Rollout", rollout.pk)] if rollout else []),
                *(("ChangeRecord", change.pk) for change in promotion.changes.all()),
            ]
        ),
    }
    return render(request, "promotions/promotion_detail.html", context, status=status)


def _evidence(promotion: Promotion, user: User) -> list[dict[str, str]]:
    """Return the button that leads whoever takes evidence away to this promotion's."""
    if not user.has_role(*TAKES_EVIDENCE):
        return []
    url = f"{reverse('oversight:evidence_list')}?promotion={promotion.pk}"
    return [{"label": "Take evidence…", "url": url, "icon": "file-check"}]


def _may_withdraw_start(promotion: Promotion, user: User) -> bool:
    """Tell whether the person may take back what is approved and has not begun."""
    waits = promotion.status == Promotion.Status.APPROVED and promotion.newest_rollout() is None
    return waits and actions.question(promotion, user).may_withdraw


def _queue(promotion: Promotion, user: User) -> dict[str, object] | None:
    """Return where a promotion stands among those that wait for this person, the longest waiting
    first; None where it does not wait for them.
    """
    waiting = list(Promotion.objects.to_decide(user).values_list("pk", flat=True))
    if promotion.pk not in waiting:
        return None
    place = waiting.index(promotion.pk)
    before, after = waiting[:place][-1:], waiting[place + 1 :][:1]
    return {
        "place": place + 1,
        "count": len(waiting),
        "before": before[0] if before else None,
        "after": after[0] if after else None,
    }


def _decision(promotion: Promotion, user: User, *, holds: bool) -> decisions.Card | None:
    """Return the decision's card. holds: whether the evidence still allows an approval."""
    baseline = promotion.baseline
    instead = f" instead of v{baseline.number}" if baseline else ""
    stale = (
        "The evidence no longer holds, so this cannot be approved.",
        "See the marked lines under Evidence.",
    )
    is_last = len(stages.given(promotion)) + 1 >= promotion.policy_revision.rules.approvals
    number = promotion.model_version.number
    asked = actions.question(promotion, user)
    if asked.is_pending and asked.may_decide:
        asked = replace(asked, barred=actions.approved_already(promotion, user))
    return decisions.card(
        asked,
        urls="promotions:promotion",
        approve=f"Approve{' and roll out' if is_last else ''} v{number}{instead}",
        blocked=None if holds else stale,
    )


def _facts(promotion: Promotion, found: list[Any]) -> list[tuple[str, object]]:
    """Return the facts with links to what they name."""
    version, run = promotion.model_version, promotion.eval_run
    name = promotion.registered_model.name
    urls = {
        "Version": reverse("catalog:version_detail", args=[name, version.number]),
        "Evaluation": reverse("evals:run_detail", args=[run.pk]),
    }
    shown: list[tuple[str, object]] = []
    for label, words in found:
        if label in ("Manifest", "Report"):
            shown.append((label, {"text": words, "mono": True, "copy": True}))
        elif label in urls:
            shown.append((label, {"text": words, "url": urls[label]}))
        else:
            shown.append((label, words))
    return shown


@require_GET
def promotion_diff(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show, as a fragment, the exact change to the GitOps repository, step by step, against its
    present head.
    """
    promotion = _promotion_for(request.user, pk)
    change = proposal.change_shown(promotion)
    steps = [{**step, "files": diffs.from_plain(step["files"])} for step in change.steps]
    context = {"item": promotion, "steps": steps, "problem": change.problem}
    context["kept"] = bool(dossier.kept(promotion))
    context["digest"] = change.digest
    return render(request, "promotions/promotion_diff.html", context)


@require_POST
def promotion_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Approve, and start the rollout."""
    return _decide(
        request, pk, actions.approve_promotion, "Approved. The page says what happens next."
    )


@require_POST
def promotion_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Reject."""
    return _decide(request, pk, actions.reject_promotion, "Rejected. The owner sees your reason.")


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    promotion = _promotion_for(request.user, pk)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _show(request, promotion, form, status=422)
    made = carry_out(request, partial(_order, request, action, promotion, form), done)
    if isinstance(made, Rollout):
        return redirect("promotions:rollout_detail", pk=made.pk)
    return redirect("promotions:promotion_detail", pk=pk)


def _order(
    request: SignedIn, action: Callable[..., object], promotion: Promotion, form: DecisionForm
) -> object:
    """Decide over what was on the page. Raises StaleEvidence where that is another by now: then the
    reason that was typed is kept for the page that shows it.
    """
    try:
        return action(
            promotion=promotion,
            approver=request.user,
            seen=form.seen(),
            reason=form.cleaned_data["reason"],
            change=proposal.as_shown(promotion, form.cleaned_data["change"]),
            now=now(),
        )
    except actions.StaleEvidence:
        request.kept_form = step_up.keep_form(request, request.user, now=time.time())
        raise


@require_POST
def promotion_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take a proposal back."""
    promotion = _promotion_for(request.user, pk)
    order = partial(actions.withdraw_promotion, promotion=promotion, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("promotions:promotion_detail", pk=pk)
