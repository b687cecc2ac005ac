"""Promotions: proposals, policies and emergencies that wait, and rollouts that hold or failed."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from apps.accounts.models import Role, User
from apps.accounts.roles import MENDS_MODELS, SEES_EMERGENCIES, STEERS_ROLLOUTS
from apps.promotions import actions as promotions
from apps.promotions import telling
from apps.promotions.emergencies import actions as about_emergencies
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.policy import actions as policies
from apps.promotions.policy.models import PolicyChange
from apps.promotions.rollouts import actions as steering
from portal.needs.lines import FAILED_SINCE, SHOWN, Need, asked, of_own_models, own


def own_promotions(user: User) -> Iterator[Need]:
    """Promotions that this person proposed."""
    waiting = Promotion.objects.pending().filter(requested_by=user)
    related = ("model_version__registered_model", "registered_model__owner_team", "policy_revision")
    yield from own(
        waiting.select_related(*related), telling.own_title, promotions.question, user,
        icon="git-pull-request-arrow", path=telling.path_of,
    )  # fmt: skip


def promotions_to_decide(user: User) -> Iterator[Need]:
    """Promotions that the person decides about."""
    waiting = Promotion.objects.to_decide(user)
    for item in waiting.select_related("model_version__registered_model", "requested_by")[:SHOWN]:
        title, url = telling.asked_title(item), telling.path_of(item)
        why = f"Proposed by {item.requested_by.name}"
        yield Need(title, why, url, "git-pull-request-arrow", "busy", item.requested_at)


def own_policies(user: User) -> Iterator[Need]:
    """Changes of promotion policies that this person proposed."""
    if not policies.may_propose(user):
        return
    rows = PolicyChange.objects.pending().filter(requested_by=user)
    yield from own(rows, telling.own_policy_title, policies.question, user, icon="scale")


def policies_to_decide(user: User) -> Iterator[Need]:
    """Changes of promotion policies that the person puts in force or not."""
    rows = PolicyChange.objects.to_decide(user)
    yield from asked(rows, telling.policy_title, icon="scale", by="Proposed by")


def emergencies(user: User, now: datetime) -> Iterator[Need]:
    """Emergencies that the person reviews; overdue, for everybody who is told of all of them."""
    if not user.has_role(*SEES_EMERGENCIES):
        return
    pending = Emergency.objects.pending().with_parts().order_by("review_due_at", "pk")
    concern = (
        item
        for item in pending
        if item.is_overdue(now) or about_emergencies.question(item, user).may_decide
    )
    for item in islice(concern, SHOWN):
        overdue = item.is_overdue(now)
        title = f"Review the emergency of {item.promotion.model_version.name}"
        why = item.words
        url, tone = item.get_absolute_url(), "bad" if overdue else "warn"
        if overdue:
            title, why = f"{title}: overdue", f"{why}, and nobody has reviewed that in time"
        yield Need(title, why, url, "triangle-alert", tone, item.requested_at)


def held_rollouts(user: User) -> Iterator[Need]:
    """Rollouts that hold because too few calls came, for those who may let them go on."""
    if not user.has_role(Role.MODEL_OWNER, *STEERS_ROLLOUTS):
        return
    held = Rollout.objects.open().filter(reason="NO_TRAFFIC", paused_at=None)
    related = ("model_version__registered_model", "registered_model__owner_team", "promotion")
    for item in held.select_related(*related)[:SHOWN]:
        if steering.may_go_on(item, user):
            title, url = telling.held_title(item), telling.path_of_rollout(item)
            why = f"Too few calls arrived to compare it at {item.weight} %"
            yield Need(title, why, url, "rocket", "warn", item.moved_at)


def failed_rollouts(user: User, now: datetime) -> Iterator[Need]:
    """Rollouts that failed this week, for owners of the model and platform engineers."""
    if not user.has_role(*MENDS_MODELS):
        return
    since = now - FAILED_SINCE
    rollouts = Rollout.objects.filter(
        of_own_models(user), status=Rollout.Status.FAILED, finished_at__gte=since
    )
    for item in rollouts.select_related("model_version__registered_model")[:SHOWN]:
        title, why = telling.failed_title(item), item.message or "The page says where it stopped"
        yield Need(title, why, telling.path_of_rollout(item), "rocket", "bad", item.started_at)
