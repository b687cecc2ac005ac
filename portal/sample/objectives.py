"""What the company promises the callers of some models: one that keeps it, one that does not, and
one whose longest calls are what counts. What is there already stays.
"""

from dataclasses import dataclass
from decimal import Decimal

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel
from apps.slo.actions import Terms, set_objective
from apps.slo.burn import Kind
from apps.slo.models import DEFAULT_DAYS, Objective, Window
from portal.sample.company import Company

REASON = "Sample: as agreed with the teams that call it."


@dataclass(frozen=True)
class Promise:
    """One objective of a model."""

    model: str
    kind: Kind
    window: Window
    terms: Terms


def _rolling(percent: str, threshold_ms: int | None = None, *, holds: bool = False) -> Terms:
    return Terms(Decimal(percent), threshold_ms, DEFAULT_DAYS, holds)


PROMISES = (
    Promise("member-chat", Kind.AVAILABILITY, Window.ROLLING, _rolling("99", holds=True)),
    Promise("member-chat", Kind.TTFT, Window.ROLLING, _rolling("95", 800)),
    # nine calls in ten come that soon, so that this one burns
    Promise("claims-triage", Kind.TTFT, Window.ROLLING, _rolling("95", 2_000)),
    Promise("claims-triage", Kind.AVAILABILITY, Window.MONTH, Terms(Decimal(99))),
    Promise("appeals-draft", Kind.DURATION, Window.ROLLING, _rolling("95", 120_000)),
)


def set_objectives(company: Company, owner: User) -> int:
    """Set what is missing, as an owner of the models; return how many that are."""
    names = {model.name for model in company.models}
    models = {row.name: row for row in RegisteredModel.objects.filter(name__in=names)}
    made = 0
    for promise in PROMISES:
        model = models.get(promise.model)
        if model is None or _is_there(model, promise):
            continue
        set_objective(
            model=model, kind=promise.kind, window=promise.window, terms=promise.terms,
            reason=REASON, actor=owner, now=company.start,
        )  # fmt: skip
        made += 1
    return made


def _is_there(model: RegisteredModel, promise: Promise) -> bool:
    rows = Objective.objects.filter(registered_model=model, kind=promise.kind)
    return rows.filter(window=promise.window).exists()
