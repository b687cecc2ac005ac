"""What there is to tell of versions and their evaluations: what failed or was quarantined."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.catalog.models import ModelVersion
from apps.catalog.people import menders_of, owners_of
from apps.evals.models import EvalRun
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, tell_news


def error_title(run: EvalRun) -> str:
    """Return that a run could not be carried out."""
    return f"Evaluation of {run.model_version.name} could not be carried out"


def quarantine_title(version: ModelVersion) -> str:
    """Return that a version is quarantined."""
    return f"{version.name} is quarantined"


def path_of_version(version: ModelVersion) -> str:
    """Return a version's page."""
    return reverse("catalog:version_detail", args=[version.registered_model.name, version.number])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    return tell_news([*_runs(now), *_versions(now)], now=now)


def _runs(now: datetime) -> Iterator[News]:
    """Yield runs that ended without passing."""
    Status = EvalRun.Status
    rows = EvalRun.objects.filter(
        status__in=(Status.ERROR, Status.FAILED), finished_at__gte=now - LATELY
    )
    for run in rows.select_related("model_version__registered_model__owner_team"):
        is_error = run.status == Status.ERROR
        model = run.model_version.registered_model
        below = f"Evaluation of {run.model_version.name} did not pass"
        yield News(
            key=f"evaluation:{run.pk}:{run.status}",
            kind=Kind.VERSION,
            title=error_title(run) if is_error else below,
            path=reverse("evals:run_detail", args=[run.pk]),
            people=partial(menders_of if is_error else owners_of, model),
        )


def _versions(now: datetime) -> Iterator[News]:
    """Yield versions whose files are not what their manifest says, and those that failed on the
    way.
    """
    Status = ModelVersion.Status
    rows = ModelVersion.objects.filter(
        status__in=(Status.QUARANTINED, Status.FAILED), observed_at__gte=now - LATELY
    )
    for version in rows.select_related("registered_model__owner_team"):
        is_bad = version.status == Status.QUARANTINED
        yield News(
            key=f"version:{version.pk}:{version.status}:{version.generation}",
            kind=Kind.VERSION,
            title=quarantine_title(version) if is_bad else f"{version.name} failed",
            path=path_of_version(version),
            people=partial(menders_of, version.registered_model),
            urgent=is_bad,
        )
