"""Which run counts: the newest one that came to a result, on the suite that decides. And the newest
of many versions at once, those that a person may see, and those that tell how long one takes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from apps.accounts.models import User
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.evals.models import EvalRun, EvalRunQuerySet, EvalSuite


def runs_for(user: User) -> EvalRunQuerySet:
    """Return the runs that a person may see, with what pages show of each."""
    rows = EvalRun.objects.visible_to(user)
    return rows.select_related(
        "suite",
        "model_version__registered_model__owner_team",
        "baseline__registered_model",
        "requested_by",
        "canceled_by",
    )


def newest_runs(versions: Iterable[ModelVersion]) -> dict[int, EvalRun]:
    """Return version → its newest run, whatever came of it, of those that have one; one query."""
    rows = EvalRun.objects.filter(model_version__in=[version.pk for version in versions])
    newest = rows.order_by("model_version_id", "-requested_at").distinct("model_version_id")
    return {run.model_version_id: run for run in newest}


def newest_results(versions: Iterable[ModelVersion]) -> dict[int, EvalRun]:
    """Return version → its newest result, on whatever suite, of those that have one; one query."""
    rows = EvalRun.objects.deciding().filter(model_version__in=[each.pk for each in versions])
    rows = rows.select_related("suite")
    return {run.model_version_id: run for run in reversed(list(rows))}


def deciding_runs(version: ModelVersion, suites: Sequence[EvalSuite]) -> dict[int, EvalRun]:
    """Return suite → the version's newest run on it that came to a result, of those that have one;
    with suite and baseline loaded, one query.
    """
    rows = EvalRun.objects.deciding().filter(model_version=version, suite__in=suites)
    rows = rows.select_related(
        "suite", "model_version__registered_model", "baseline__registered_model"
    )
    return {run.suite_id: run for run in reversed(list(rows))}


def earlier_results(
    suite: EvalSuite, model: RegisteredModel, most: int, *, before: datetime
) -> list[EvalRun]:
    """Return the newest runs of a model, on the suite, that had a result before a moment; where the
    model has none, those of all models. Two queries at most.
    """
    rows = EvalRun.objects.deciding().filter(suite=suite, finished_at__lte=before)
    rows = rows.select_related("model_version__registered_model", "baseline__registered_model")
    own = list(rows.filter(model_version__registered_model=model)[:most])
    return own or list(rows[:most])
