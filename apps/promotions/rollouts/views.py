"""The page of a rollout: weights, health and decisions, phases as they happen, and the ways to
steer it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.common.orders import carry_out
from apps.common.reasons import ReasonForm
from apps.common.simulated import Simulated
from apps.integrations.engine.identity import is_stand_in
from apps.manifests import names
from apps.manifests.serving_settings import in_short
from apps.promotions import pages, queries, serving
from apps.promotions.models import Rollout, RolloutPhase
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts import pages as rollout_pages
from apps.promotions.rollouts.live import retire_at
from apps.promotions.rollouts.phases import TYPICAL_BASIS
from apps.promotions.sleep import class_facts

RELATED = (
    "registered_model__owner_team",
    "model_version__registered_model",
    "baseline__registered_model",
    "rolls_back__model_version__registered_model",
    "promotion__model_version__registered_model",
    "promotion__requested_by",
)


def _rollout_for(user: User, pk: UUID) -> Rollout:
    return get_object_or_404(Rollout.objects.visible_to(user).select_related(*RELATED), pk=pk)


@require_GET
def rollout_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show where a rollout stands; the fragment asks again every 2 s while it moves."""
    rollout = _rollout_for(request.user, pk)
    phases, commits = (
        list(rollout.phases.all()),
        list(rollout.commits.select_related("gate__decided_by")),
    )
    ready_at = next(
        (row.reached_at for row in phases if row.phase == RolloutPhase.Phase.READY), None
    )
    may = _may(rollout, request.user)
    state = serving.of_rollout(rollout, now())
    context = {
        "rollout": rollout,
        "version": rollout.model_version,
        "title": f"Rollout of {rollout.model_version.name}",
        "crumbs": [
            ("Promotions", reverse("promotions:promotion_list")),
            (
                rollout.model_version.name,
                reverse("promotions:promotion_detail", args=[rollout.promotion_id]),
            ),
            ("Rollout", ""),
        ],
        "badge": state.badge,
        "problem": rollout_pages.problem(rollout, may.get("back_to")),
        "lead": rollout_pages.lead(rollout),
        "advice": rollout_pages.advice(rollout),
        "needs_new_version": rollout_pages.needs_new_version(rollout),
        "failure": rollout_pages.failure_title(rollout),
        "moving": pages.is_moving(rollout),
        "weights": rollout_pages.weight_steps(rollout, commits, ready_at),
        "decisions": rollout_pages.decisions(commits),
        "health": rollout_pages.health(rollout, commits),
        "steps": pages.steps(rollout, phases),
        "commits": commits,
        "facts": _facts(rollout),
        "served": rollout_pages.served(rollout),
        "looked": rollout_pages.looked(rollout),
        "objects": _objects(rollout),
        "baseline": rollout.baseline,
        "sleep_badge": serving.sleep_badge(state.sleep) if state.sleep else None,
        "sleep_facts": pages.sleep_facts(state.sleep) if state.sleep else [],
        "retry_after": settings.SCALING_RETRY_AFTER_SECONDS,
        "retires_at": retire_at(rollout),
        "simulated": Simulated(engine=is_stand_in(rollout.engine)),
        "typical_basis": TYPICAL_BASIS,
        "events": timeline("Rollout", rollout.pk),
        **may,
    }
    template = "promotions/rollout_detail.html" + ("#live" if request.htmx else "")
    return render(request, template, context)


def _may(rollout: Rollout, user: User) -> dict[str, Any]:
    """Return the orders that this person can give now."""
    if not steering.may_steer(rollout, user):
        return {}
    is_open = rollout.status in Rollout.OPEN
    failed, live = rollout.status == Rollout.Status.FAILED, rollout.status == Rollout.Status.LIVE
    earlier = queries.approval_before(rollout) if live and rollout.baseline_id else None
    return {
        "may_retry": failed,
        "may_abort": is_open or failed,
        "may_stop": steering.may_stop(rollout),
        "may_pause": is_open and rollout.paused_at is None and not rollout.return_reason,
        "may_resume": is_open and rollout.paused_at is not None,
        "may_go_on": steering.may_go_on(rollout, user),
        "could_go_on": is_open and not steering.going_on(rollout, user).is_own,
        "back_to": earlier.model_version if earlier else None,
        "back_is_stopped": earlier is not None and queries.is_stopped(rollout),
    }


def _facts(rollout: Rollout) -> list[tuple[str, object]]:
    promotion = rollout.promotion
    return [
        (
            "Promotion",
            {
                "text": str(promotion),
                "url": reverse("promotions:promotion_detail", args=[promotion.pk]),
            },
        ),
        ("Approved digest", {"text": promotion.manifest_digest, "mono": True, "copy": True}),
        *(
            [("Goes back from", str(rollout.rolls_back.model_version))]
            if rollout.rolls_back
            else []
        ),
        ("Engine", rollout.engine or "not started yet"),
        ("Node", rollout.instance_type or "none yet"),
        ("Served with", in_short(promotion.settings)),
        *class_facts(promotion, now()),
        ("Proposed by", str(promotion.requested_by)),
    ]


def _objects(rollout: Rollout) -> list[tuple[str, str]]:
    name, model = rollout.model_version.name, rollout.registered_model.name
    where = f"{names.MODELS}/"
    is_scaled = rollout.sleeps or rollout.promotion.settings.scales
    scaled = [("ScaledObject", where + name)] if is_scaled else []
    return [
        ("InferenceService", where + name),
        *scaled,
        ("AIServiceBackend", where + name),
        ("Backend", where + name),
        ("AIGatewayRoute", where + model),
    ]


@require_POST
def rollout_retry(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take a failed rollout up again."""
    rollout = _rollout_for(request.user, pk)
    return _steer(request, rollout, steering.retry_rollout, "It continues where it stopped.")


@require_POST
def rollout_pause(request: SignedIn, pk: UUID) -> HttpResponse:
    """Leave the weights where they are."""
    rollout = _rollout_for(request.user, pk)
    done = f"Paused. The weights stay at {rollout.weight} % until somebody resumes it."
    return _with_reason(request, rollout, steering.pause_rollout, done)


@require_POST
def rollout_resume(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let a paused rollout go on."""
    return _steer(
        request,
        _rollout_for(request.user, pk),
        steering.resume_rollout,
        "Resumed from the weights it has.",
    )


@require_POST
def rollout_go_on(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let a rollout go on from a weight at which too few calls came to compare."""
    rollout = _rollout_for(request.user, pk)
    done = "It continues. Your reason and the numbers are kept with the decision."
    return _with_reason(request, rollout, steering.go_on_rollout, done)


@require_POST
def rollout_roll_back(request: SignedIn, pk: UUID) -> HttpResponse:
    """Go back from a live rollout to the version that served before it."""
    rollout = _rollout_for(request.user, pk)
    return _with_reason(
        request, rollout, steering.roll_back_rollout, "Going back. This page shows how far it is."
    )


@require_POST
def rollout_abort(request: SignedIn, pk: UUID) -> HttpResponse:
    """Stop a rollout and take its version back."""
    rollout = _rollout_for(request.user, pk)
    done = "Aborted. The version is being taken back; callers stay with the baseline."
    return _with_reason(request, rollout, steering.abort_rollout, done)


def _with_reason(
    request: SignedIn, rollout: Rollout, action: Callable[..., Rollout], done: str
) -> HttpResponse:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why: at least three letters. Nothing was changed.")
        return redirect("promotions:rollout_detail", pk=rollout.pk)
    return _steer(request, rollout, action, done, reason=form.cleaned_data["reason"])


def _steer(
    request: SignedIn, rollout: Rollout, action: Callable[..., Rollout], done: str, **more: object
) -> HttpResponse:
    """Give one order; lead to the rollout that carries it out."""
    order = partial(action, rollout=rollout, actor=request.user, now=now(), **more)
    made = carry_out(request, order, done) or rollout
    return redirect("promotions:rollout_detail", pk=made.pk)
