"""What needs a person now: decisions that wait for them, and what failed where they look after it;
and what they wait for themselves.

Read straight from the apps' rows, a fixed number of queries however much there is (tests pin it).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from apps.access import actions as access
from apps.access import telling as access_lines
from apps.access.budgets import actions as budgets
from apps.access.budgets import telling as budget_lines
from apps.access.budgets.models import Boost, BudgetChange, in_unit
from apps.access.budgets.queries import open_alerts
from apps.access.models import AccessRequest, Grant
from apps.access.recertification.models import to_look_at
from apps.access.recertification.queries import period
from apps.access.recertification.words import due_words
from apps.accounts.models import Role, User
from apps.accounts.pipelines import actions as pipelines
from apps.accounts.pipelines.models import PipelineChange
from apps.accounts.recertification import actions as roles
from apps.accounts.recertification.models import RoleReview
from apps.accounts.roles import (
    DECIDES_PROMPTS,
    DECIDES_SIGNERS,
    MENDS_MODELS,
    OWNS_MODELS,
    SEES_EMERGENCIES,
    STEERS_ROLLOUTS,
)
from apps.capacity import actions as capacity
from apps.capacity import telling as capacity_lines
from apps.capacity.models import CapacityRequest
from apps.catalog.intake import telling as intake_lines
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import ModelVersion
from apps.catalog.signers import telling as signer_lines
from apps.catalog.signers.models import SignerRevocation
from apps.chargeback import telling as money_lines
from apps.chargeback.closing import actions as closing
from apps.chargeback.closing.models import MonthClose
from apps.chargeback.models import PriceChange
from apps.chargeback.prices import actions as prices
from apps.common.decisions import Question
from apps.common.money import exact
from apps.common.periods import DAY, day_words, next_month
from apps.evals import telling as eval_lines
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.suites import actions as suites
from apps.evals.suites import telling as suite_lines
from apps.gateway.guard import actions as guardrails
from apps.gateway.guard import telling as guardrail_lines
from apps.gateway.guard.models import GuardrailChange
from apps.oversight import pipelines as pipeline_lines
from apps.promotions import actions as promotions
from apps.promotions import telling as promotion_lines
from apps.promotions.emergencies import actions as emergencies
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.policy import actions as policies
from apps.promotions.policy.models import PolicyChange
from apps.promotions.rollouts import actions as steering
from apps.prompts import telling as prompt_lines
from apps.prompts.rules import actions as about_prompts

SHOWN = 20
EXPIRES_SOON = timedelta(days=14)
FAILED_SINCE = timedelta(days=7)


@dataclass(frozen=True)
class Need:
    """One line: what it is, why it is this person's, where to go."""

    title: str
    why: str
    url: str
    icon: str
    tone: str
    since: datetime  # or until, where it ends


def needs_of(user: User, now: datetime) -> list[Need]:
    """Return what needs this person: failures first, then what waits longest."""
    found = chain(
        _requests_to_decide(user),
        _promotions_to_decide(user),
        _policies_to_decide(user),
        _guardrails_to_decide(user),
        _pipelines_to_decide(user),
        _prompts_to_decide(user),
        _emergencies(user, now),
        _capacity(user, now),
        _new_models(user),
        _suites_to_decide(user),
        _revocations(user),
        _prices_to_decide(user),
        _closes_to_decide(user),
        _budgets_to_decide(user),
        _budgets_that_run_out(user, now),
        _held_rollouts(user),
        _grants_that_end(user, now),
        _grants_to_look_at(user, now),
        _roles_to_look_at(user, now),
        _failures(user, now),
        _quarantined(user, now),
    )
    order = {"bad": 0, "warn": 1, "busy": 2}
    return sorted(found, key=lambda need: (order.get(need.tone, 3), need.since))[: 3 * SHOWN]


def waits_of(user: User) -> list[Need]:
    """Return what this person asked for and others have not decided yet, the longest waiting
    first. Five queries, six for model owners, finance and platform engineers.
    """
    found = chain(
        _own_requests(user),
        _own_promotions(user),
        _own_policies(user),
        _own_guardrails(user),
        _own_pipelines(user),
        _own_about_prompts(user),
        _own_capacity(user),
        _own_new_models(user),
        _own_suites(user),
        _own_prices(user),
        _own_closes(user),
        _own_budgets(user),
    )
    return sorted(found, key=lambda need: need.since)[: 3 * SHOWN]


def _who_decides(question: Question) -> str:
    return f"{question.who[0].upper()}{question.who[1:]} decides"


def _own_requests(user: User) -> Iterator[Need]:
    """Access requests of this person."""
    waiting = AccessRequest.objects.pending().filter(requested_by=user)
    for item in waiting.select_related("registered_model__owner_team")[:SHOWN]:
        title = access_lines.own_title(item)
        why = _who_decides(access.question(item, user))
        url = reverse("access:request_detail", args=(item.pk,))
        yield Need(title, why, url, "key-round", "", item.requested_at)


def _own_promotions(user: User) -> Iterator[Need]:
    """Promotions that this person proposed."""
    waiting = Promotion.objects.pending().filter(requested_by=user)
    related = ("model_version__registered_model", "registered_model__owner_team", "policy_revision")
    for item in waiting.select_related(*related)[:SHOWN]:
        title = promotion_lines.own_title(item)
        url = reverse("promotions:promotion_detail", args=(item.pk,))
        why = _who_decides(promotions.question(item, user))
        yield Need(title, why, url, "git-pull-request-arrow", "", item.requested_at)


def _own_new_models(user: User) -> Iterator[Need]:
    """New models that this person asked for."""
    rows = ModelIntake.objects.pending().filter(requested_by=user).select_related("owner_team")
    for item in rows[:SHOWN]:
        why = f"A model owner of {item.owner_team.name}, or a platform engineer, decides"
        url = intake_lines.path_of(item)
        yield Need(intake_lines.own_title(item), why, url, "boxes", "idle", item.requested_at)


def _own_capacity(user: User) -> Iterator[Need]:
    """Changes of capacity that this person asked for."""
    for item in CapacityRequest.objects.pending().filter(requested_by=user)[:SHOWN]:
        title = capacity_lines.own_title(item)
        why = _who_decides(capacity.question(item, user))
        url = reverse("capacity:request_detail", args=(item.pk,))
        yield Need(title, why, url, "gauge", "", item.requested_at)


def _own_suites(user: User) -> Iterator[Need]:
    """Suites that this person asked for, which only model owners do."""
    if not suites.may_ask(user):
        return
    for item in EvalSuite.objects.pending().filter(requested_by=user)[:SHOWN]:
        why = _who_decides(suites.question(item, user))
        url = reverse("evals:suite_detail", args=(item.pk,))
        yield Need(suite_lines.own_title(item), why, url, "list-checks", "", item.requested_at)


def _suites_to_decide(user: User) -> Iterator[Need]:
    """Suites that the person decides about."""
    for item in EvalSuite.objects.to_decide(user).select_related("requested_by")[:SHOWN]:
        who = item.requested_by.name if item.requested_by else ""
        why = f"Asked by {who}: {item.justification[:80]}"
        url = reverse("evals:suite_detail", args=(item.pk,))
        title = suite_lines.asked_title(item)
        yield Need(title, why, url, "list-checks", "busy", item.requested_at)


def _own_prices(user: User) -> Iterator[Need]:
    """Prices that this person proposed, which only finance does."""
    if not prices.may_propose(user):
        return
    waiting = PriceChange.objects.pending().filter(requested_by=user)
    for item in waiting.select_related("registered_model")[:SHOWN]:
        title = money_lines.own_price_title(item)
        why = _who_decides(prices.question(item, user))
        yield Need(title, why, item.get_absolute_url(), "coins", "", item.requested_at)


def _prices_to_decide(user: User) -> Iterator[Need]:
    """Proposed prices that the person publishes or rejects."""
    for item in PriceChange.objects.to_decide(user)[:SHOWN]:
        title = money_lines.price_title(item)
        who = item.requested_by.name if item.requested_by else ""
        why = f"Proposed by {who}: {item.justification[:80]}"
        yield Need(title, why, item.get_absolute_url(), "coins", "busy", item.requested_at)


def _own_closes(user: User) -> Iterator[Need]:
    """Months that this person asked to close, which only finance does."""
    if not closing.may_ask(user):
        return
    for item in MonthClose.objects.pending().filter(requested_by=user):
        why = _who_decides(closing.question(item, user))
        title = money_lines.own_close_title(item)
        yield Need(title, why, item.get_absolute_url(), "lock", "", item.requested_at)


def _closes_to_decide(user: User) -> Iterator[Need]:
    """Months that somebody else asked to close, and this person closes or not."""
    for item in MonthClose.objects.to_decide(user)[:SHOWN]:
        title, why = money_lines.close_title(item), f"Asked for by {item.requested_by.name}"
        yield Need(title, why, item.get_absolute_url(), "lock", "busy", item.requested_at)


def _own_budgets(user: User) -> Iterator[Need]:
    """Changes and boosts of budgets that this person asked for."""
    for kind in (BudgetChange, Boost):
        for item in kind.objects.pending().filter(requested_by=user).named()[:SHOWN]:
            why = _who_decides(budgets.question(item, user))
            url = item.get_absolute_url()
            title = budget_lines.own_title(item)
            yield Need(title, why, url, "wallet", "", item.requested_at)


def _budgets_to_decide(user: User) -> Iterator[Need]:
    """Changes and boosts of budgets that the person decides about."""
    for kind in (BudgetChange, Boost):
        for item in kind.objects.named().to_decide(user)[:SHOWN]:
            title = budget_lines.asked_title(item)
            why = f"{item.asks}: {item.justification[:80]}"
            url = item.get_absolute_url()
            yield Need(title, why, url, "wallet", "busy", item.requested_at)


def _budgets_that_run_out(user: User, now: datetime) -> Iterator[Need]:
    """Budgets that have reached a threshold this month, for those who can ask for a boost."""
    for each in open_alerts(user, now)[:SHOWN]:
        alert, budget = each.alert, each.budget
        amounts = [in_unit(amount, budget.unit) for amount in (alert.spent, each.limit)]
        is_spent = alert.spent >= each.limit
        title = budget_lines.reached_title(budget, alert.threshold, is_spent)
        end = next_month(alert.month) - DAY
        asked = urlencode({"amount": exact(alert.boost), "end": end.isoformat()})
        url = f"{reverse('chargeback:boost_create', args=[budget.series])}?{asked}"
        boost = f"a boost of {in_unit(alert.boost, budget.unit)} until {day_words(end)}"
        why = f"{amounts[0]} of {amounts[1]}. Ask for {boost}"
        yield Need(title, why, url, "wallet", "bad" if is_spent else "warn", alert.told_at)


def _requests_to_decide(user: User) -> Iterator[Need]:
    """Access requests that the person decides about."""
    waiting = AccessRequest.objects.to_decide(user)
    for item in waiting.select_related("team", "registered_model", "requested_by")[:SHOWN]:
        title = access_lines.asked_title(item)
        why = f"Asked by {item.requested_by.name}: {item.purpose[:80]}"
        url = reverse("access:request_detail", args=(item.pk,))
        yield Need(title, why, url, "key-round", "busy", item.requested_at)


def _promotions_to_decide(user: User) -> Iterator[Need]:
    """Promotions that the person decides about."""
    waiting = Promotion.objects.to_decide(user)
    for item in waiting.select_related("model_version__registered_model", "requested_by")[:SHOWN]:
        title = promotion_lines.asked_title(item)
        url = reverse("promotions:promotion_detail", args=(item.pk,))
        why = f"Proposed by {item.requested_by.name}"
        yield Need(title, why, url, "git-pull-request-arrow", "busy", item.requested_at)


def _own_pipelines(user: User) -> Iterator[Need]:
    """Rules of pipelines that this person proposed."""
    if not pipelines.may_propose(user):
        return
    for item in PipelineChange.objects.pending().filter(requested_by=user)[:SHOWN]:
        why = _who_decides(pipelines.question(item, user))
        title = pipeline_lines.own_title(item)
        yield Need(title, why, item.get_absolute_url(), "terminal", "", item.requested_at)


def _pipelines_to_decide(user: User) -> Iterator[Need]:
    """Rules of pipelines that the person puts in force or not."""
    for item in PipelineChange.objects.to_decide(user)[:SHOWN]:
        if pipelines.question(item, user).may_decide:
            why = f"Proposed by {item.requested_by.name}: {item.justification[:80]}"
            title = pipeline_lines.asked_title(item)
            yield Need(title, why, item.get_absolute_url(), "terminal", "busy", item.requested_at)


def _own_policies(user: User) -> Iterator[Need]:
    """Changes of promotion policies that this person proposed."""
    if not policies.may_propose(user):
        return
    for item in PolicyChange.objects.pending().filter(requested_by=user)[:SHOWN]:
        why = _who_decides(policies.question(item, user))
        title = promotion_lines.own_policy_title(item)
        yield Need(title, why, item.get_absolute_url(), "scale", "",
                   item.requested_at)  # fmt: skip


def _policies_to_decide(user: User) -> Iterator[Need]:
    """Changes of promotion policies that the person puts in force or not."""
    for item in PolicyChange.objects.to_decide(user)[:SHOWN]:
        why = f"Proposed by {item.requested_by.name}: {item.justification[:80]}"
        url = item.get_absolute_url()
        title = promotion_lines.policy_title(item)
        yield Need(title, why, url, "scale", "busy", item.requested_at)


def _own_guardrails(user: User) -> Iterator[Need]:
    """Changes of guard rules that this person proposed."""
    if not guardrails.may_propose(user):
        return
    for item in GuardrailChange.objects.pending().filter(requested_by=user)[:SHOWN]:
        why = _who_decides(guardrails.question(item, user))
        title = guardrail_lines.own_title(item)
        yield Need(title, why, item.get_absolute_url(), "shield-check", "", item.requested_at)


def _guardrails_to_decide(user: User) -> Iterator[Need]:
    """Changes of guard rules that the person puts in force or not."""
    for item in GuardrailChange.objects.to_decide(user)[:SHOWN]:
        why = f"Proposed by {item.requested_by.name}: {item.justification[:80]}"
        url = item.get_absolute_url()
        title = guardrail_lines.asked_title(item)
        yield Need(title, why, url, "shield-check", "busy", item.requested_at)


def _own_about_prompts(user: User) -> Iterator[Need]:
    """What this person asked for about the prompt record, which only auditors do."""
    if not about_prompts.may_ask(user):
        return
    for model, question in prompt_lines.SORTS.values():
        waiting = model.objects.pending().filter(requested_by=user)
        for item in waiting[:SHOWN]:
            title, url = prompt_lines.own_title(item), item.get_absolute_url()
            why = _who_decides(question(item, user))
            yield Need(title, why, url, "lock", "", item.requested_at)


def _prompts_to_decide(user: User) -> Iterator[Need]:
    """What others ask for about the prompt record, and this person decides."""
    if not user.has_role(*DECIDES_PROMPTS):
        return
    for model, _ in prompt_lines.SORTS.values():
        for item in model.objects.to_decide(user)[:SHOWN]:
            title, url = prompt_lines.asked_title(item), item.get_absolute_url()
            why = f"Asked for by {item.requested_by.name}: {item.justification[:80]}"
            yield Need(title, why, url, "lock", "busy", item.requested_at)


def _emergencies(user: User, now: datetime) -> Iterator[Need]:
    """Emergencies that the person reviews; overdue, for everybody who is told of all of them."""
    if not user.has_role(*SEES_EMERGENCIES):
        return
    pending = Emergency.objects.pending().with_parts().order_by("review_due_at", "pk")
    concern = (
        item
        for item in pending
        if item.is_overdue(now) or emergencies.question(item, user).may_decide
    )
    for item in islice(concern, SHOWN):
        overdue = item.is_overdue(now)
        title = f"Review the emergency of {item.promotion.model_version.name}"
        why = item.words
        url, tone = item.get_absolute_url(), "bad" if overdue else "warn"
        if overdue:
            title, why = f"{title}: overdue", f"{why}, and nobody has reviewed that in time"
        yield Need(title, why, url, "triangle-alert", tone, item.requested_at)


def _new_models(user: User) -> Iterator[Need]:
    """Requests for new models that the person decides about."""
    for item in ModelIntake.objects.to_decide(user).select_related("requested_by")[:SHOWN]:
        why = f"Asked by {item.requested_by.name}: {item.justification[:80]}"
        url = intake_lines.path_of(item)
        yield Need(intake_lines.asked_title(item), why, url, "boxes", "busy", item.requested_at)


def _capacity(user: User, now: datetime) -> Iterator[Need]:
    """Capacity requests that the person decides about; for platform engineers also those that
    failed this week.
    """
    for item in CapacityRequest.objects.to_decide(user).select_related("requested_by")[:SHOWN]:
        url = reverse("capacity:request_detail", args=(item.pk,))
        why = f"Asked by {item.requested_by.name}: {item.justification[:80]}"
        title = capacity_lines.asked_title(item)
        yield Need(title, why, url, "gauge", "busy", item.requested_at)
    if not user.has_role(Role.PLATFORM_ENGINEER):
        return
    since = now - FAILED_SINCE
    for item in CapacityRequest.objects.filter(
        status=CapacityRequest.Status.FAILED, finished_at__gte=since
    )[:SHOWN]:
        url = reverse("capacity:request_detail", args=(item.pk,))
        why = item.message or "The page says why"
        title = capacity_lines.failed_title(item)
        yield Need(title, why, url, "gauge", "bad", item.requested_at)


def _revocations(user: User) -> Iterator[Need]:
    """Signing keys that somebody else wants to be revoked, for those who decide."""
    if not user.has_role(*DECIDES_SIGNERS):
        return
    rows = SignerRevocation.objects.to_decide(user).select_related("signer", "requested_by")
    for item in rows[:SHOWN]:
        title, url = signer_lines.asked_title(item), signer_lines.path_of(item)
        why = f"Asked by {item.requested_by.name}: {item.justification[:80]}"
        yield Need(title, why, url, "key-round", "busy", item.requested_at)


def _held_rollouts(user: User) -> Iterator[Need]:
    """Rollouts that hold because too few calls came, for those who may let them go on."""
    if not user.has_role(Role.MODEL_OWNER, *STEERS_ROLLOUTS):
        return
    held = Rollout.objects.open().filter(reason="NO_TRAFFIC", paused_at=None)
    related = ("model_version__registered_model", "registered_model__owner_team", "promotion")
    for item in held.select_related(*related)[:SHOWN]:
        if steering.may_go_on(item, user):
            url = reverse("promotions:rollout_detail", args=(item.pk,))
            why = f"Too few calls arrived to compare it at {item.weight} %"
            title = promotion_lines.held_title(item)
            yield Need(title, why, url, "rocket", "warn", item.moved_at)


def _grants_that_end(user: User, now: datetime) -> Iterator[Need]:
    """Grants of the lead's team that end within two weeks."""
    if not user.has_role(Role.TEAM_LEAD):
        return
    ending = Grant.objects.active(now).filter(team=user.team_id, active_to__lte=now + EXPIRES_SOON)
    for item in ending.select_related("registered_model")[:SHOWN]:
        title = f"Access to {item.registered_model.name} ends on {day_words(item.last_day)}"
        why = "Renew it before then, or calls will be refused"
        yield Need(
            title,
            why,
            reverse("access:grant_detail", args=(item.pk,)),
            "calendar-clock",
            "warn",
            item.active_to,
        )


def _grants_to_look_at(user: User, now: datetime) -> Iterator[Need]:
    """Grants of the owner's models that are to be kept or ended, but those that they asked for."""
    if not user.has_role(*OWNS_MODELS):
        return
    mine = Grant.objects.filter(registered_model__owner_team=user.team_id)
    others = mine.exclude(request__requested_by__person=user.person)
    due = to_look_at(others, period(), now).select_related("registered_model", "team")
    for item in due[:SHOWN]:
        title = f"Keep or end the access of {item.team.name} to {item.registered_model.name}"
        why = due_words(item.due_at, now).capitalize()
        url = f"{reverse('access:grant_detail', args=(item.pk,))}#look"
        tone = "bad" if item.due_at <= now else "warn"
        yield Need(title, why, url, "calendar-clock", tone, item.due_at)


def _roles_to_look_at(user: User, now: datetime) -> Iterator[Need]:
    """Roles of others that this person keeps or takes away."""
    if not roles.may_look(user):
        return
    for item in RoleReview.objects.to_decide(user, is_decider=True)[:SHOWN]:
        why = due_words(item.due_at, now).capitalize()
        url = reverse("oversight:role_review", args=(item.pk,))
        tone = "bad" if item.due_at <= now else "warn"
        yield Need(f"Keep or take away the role {item}", why, url, "users", tone, item.due_at)


def _failures(user: User, now: datetime) -> Iterator[Need]:
    """Rollouts and evaluation runs that failed this week, for owners of the model and platform
    engineers.
    """
    if not user.has_role(*MENDS_MODELS):
        return
    mine = (
        Q()
        if user.has_role(Role.PLATFORM_ENGINEER)
        else Q(model_version__registered_model__owner_team=user.team_id)
    )
    since = now - FAILED_SINCE
    rollouts = Rollout.objects.filter(mine, status=Rollout.Status.FAILED, finished_at__gte=since)
    for item in rollouts.select_related("model_version__registered_model")[:SHOWN]:
        title = promotion_lines.failed_title(item)
        url = reverse("promotions:rollout_detail", args=(item.pk,))
        yield Need(
            title,
            item.message or "The page says where it stopped",
            url,
            "rocket",
            "bad",
            item.started_at,
        )
    runs = EvalRun.objects.filter(mine, status=EvalRun.Status.ERROR, finished_at__gte=since)
    for run in runs.select_related("model_version__registered_model")[:SHOWN]:
        title = eval_lines.error_title(run)
        url = reverse("evals:run_detail", args=(run.pk,))
        yield Need(
            title, run.message or "The page says why", url, "flask-conical", "bad", run.requested_at
        )


def _quarantined(user: User, now: datetime) -> Iterator[Need]:
    """Versions whose files were found not to match their manifest, however long ago they were
    published: this week's of the team's own models; and of any model what still serves, for those
    who steer rollouts.
    """
    if not user.has_role(Role.MODEL_OWNER, *STEERS_ROLLOUTS):
        return
    of_this_week, serves = Q(observed_at__gte=now - FAILED_SINCE), Q(serves=True)
    told = Q(registered_model__owner_team=user.team_id) & (of_this_week | serves)
    if user.has_role(*STEERS_ROLLOUTS):
        told |= serves
    live = Rollout.objects.live().filter(model_version=OuterRef("pk"))
    bad = ModelVersion.objects.filter(status=ModelVersion.Status.QUARANTINED)
    bad = bad.annotate(serves=Exists(live)).filter(told).select_related("registered_model")
    for item in bad[:SHOWN]:
        url = reverse("catalog:version_detail", args=(item.registered_model.name, item.number))
        why = item.message or "A file does not match its manifest"
        title = eval_lines.quarantine_title(item)
        if item.serves:  # type: ignore[attr-defined]  # annotated above
            title += ", but still serves callers"
        yield Need(title, why, url, "shield-alert", "bad", item.observed_at or now)
