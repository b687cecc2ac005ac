"""Setting, changing and ending objectives: each with a reason, a revision and an audit row."""

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.roles import SETS_OBJECTIVES
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.metering.met.models import BOUNDS
from apps.slo.burn import Kind
from apps.slo.models import LEAST, LONGEST, MOST, SHORTEST, Objective, ObjectiveRevision, Window

MAY_SET = "Only an owner of the model or a platform engineer can set its objectives."


class WrongTerms(DomainError):
    """No objective can say that."""

    code = "wrong_terms"


class NothingChanged(DomainError):
    """The objective says that already."""

    code = "nothing_changed"


class HasEnded(DomainError):
    """The objective was ended before."""

    code = "objective_ended"


@dataclass(frozen=True)
class Terms:
    """What an objective promises; as in TermsOf."""

    target_percent: Decimal
    threshold_ms: int | None = None
    window_days: int | None = None
    holds_rollouts: bool = False


def may_set(model: RegisteredModel, user: User) -> bool:
    """Tell whether this person may set the model's objectives."""
    return model.is_owned_by(user) or user.has_role(*SETS_OBJECTIVES)


@transaction.atomic
def set_objective(
    *,
    model: RegisteredModel,
    kind: str,
    window: str,
    terms: Terms,
    reason: str,
    actor: User,
    now: datetime,
) -> Objective:
    """Set what the callers of a model may count on, or change it where there is such an objective.

    kind: of Kind; window: of Window. Raises NotPermitted, WrongTerms, or NothingChanged.
    """
    require(may_set(model, actor), MAY_SET)
    check(kind, window, terms)
    # the model's row is what two people who set at the same time wait for each other on
    RegisteredModel.objects.select_for_update().get(pk=model.pk)
    found = Objective.objects.active().filter(registered_model=model, kind=kind, window=window)
    objective = found.first()
    before = _as_data(objective) if objective else None
    if objective is None:
        objective = Objective(registered_model=model, kind=kind, window=window)
    elif _terms_of(objective) == terms:
        raise NothingChanged("The objective says that already.")
    else:
        objective.revision += 1
    for name, value in asdict(terms).items():
        setattr(objective, name, value)
    objective.set_at = now
    # whose it is and what it is about never changes
    objective.save(update_fields=(*asdict(terms), "revision", "set_at") if before else None)
    _keep(objective, Action.OBJECTIVE_SET, reason, actor, now, before=before)
    enqueue_on_commit("slo.measure")
    return objective


@transaction.atomic
def end_objective(*, objective: Objective, reason: str, actor: User, now: datetime) -> Objective:
    """Take an objective back. Raises NotPermitted; HasEnded where it was taken back before."""
    require(may_set(objective.registered_model, actor), MAY_SET)
    found = Objective.objects.active().select_for_update(of=("self",)).filter(pk=objective.pk)
    row = found.first()
    if row is None:
        raise HasEnded("This objective has been ended before.")
    row.revision += 1
    row.ended_at = now
    row.save(update_fields=("revision", "ended_at"))
    _keep(row, Action.OBJECTIVE_ENDED, reason, actor, now, is_end=True)
    enqueue_on_commit("slo.measure")
    return row


def check(kind: str, window: str, terms: Terms) -> None:
    """Raise WrongTerms, in words, where no objective can say that."""
    if kind not in Kind.values or window not in Window.values:
        raise WrongTerms("There is no such kind of objective.")
    if not LEAST <= terms.target_percent <= MOST:
        raise WrongTerms(f"The target is between {LEAST} % and {MOST} % of the calls.")
    if (kind == Kind.AVAILABILITY) != (terms.threshold_ms is None):
        raise WrongTerms("An objective of a time says within which; availability names none.")
    if terms.threshold_ms is not None and terms.threshold_ms not in BOUNDS:
        raise WrongTerms("Calls are not counted within that time; choose one from the list.")
    if (window == Window.MONTH) != (terms.window_days is None):
        raise WrongTerms("A rolling window says how many days it has; a month says none.")
    if terms.window_days is not None and not SHORTEST <= terms.window_days <= LONGEST:
        raise WrongTerms(f"A rolling window has {SHORTEST} to {LONGEST} days.")


def _terms_of(row: Objective) -> Terms:
    return Terms(row.target_percent, row.threshold_ms, row.window_days, row.holds_rollouts)


def _as_data(row: Objective) -> dict[str, Any]:
    """Return what it promises, for the record: the share as text, which JSON keeps exactly."""
    return asdict(_terms_of(row)) | {"target_percent": f"{row.target_percent:.3f}"}


def _keep(
    objective: Objective,
    action: Action,
    reason: str,
    actor: User,
    now: datetime,
    *,
    is_end: bool = False,
    before: dict[str, Any] | None = None,
) -> None:
    """Keep a revision, and the audit row."""
    ObjectiveRevision.objects.create(
        objective=objective, number=objective.revision, is_end=is_end, reason=reason,
        set_by=actor, set_at=now, **asdict(_terms_of(objective)),
    )  # fmt: skip
    data: dict[str, Any] = {
        "model": objective.registered_model.name, "kind": objective.kind,
        "window": objective.window, "reason": reason, "revision": objective.revision,
    } | _as_data(objective)  # fmt: skip
    if before is not None:
        data["before"] = before
    record(action=action, actor=actor, target=objective, now=now, data=data)
