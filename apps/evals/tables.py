"""The list of evaluation runs as a table. Declarations only."""

from django.urls import reverse, reverse_lazy

from apps.common.tables.columns import Column, Empty, Table
from apps.evals import pages
from apps.evals.filters import RunFilters
from apps.evals.models import EvalRun


def _f1(run: EvalRun) -> str | None:
    value = run.metrics.get("f1")
    return None if value is None else pages.figure("f1", value)


RUNS = Table(
    name="evaluation-runs",
    noun=("run", "runs"),
    columns=(
        Column(
            "run",
            "Run",
            lambda run: str(run.pk)[:8],
            kind="mono",
            url=lambda run: reverse("evals:run_detail", args=[run.pk]),
            csv="pk",
        ),
        Column(
            "version",
            "Version",
            "model_version.name",
            sort=("model_version__registered_model__name", "model_version__number"),
            url=lambda run: reverse("evals:run_detail", args=[run.pk]),
            place="name",
            css="nowrap",
        ),
        Column("result", "Result", pages.run_badge, kind="badge", sort="status", css="nowrap"),
        Column(
            "baseline", "Baseline", "baseline.name", sort="baseline__number", css="nowrap",
            unknown="none served",
        ),
        Column("f1", "F1 of codes", _f1, sort="metrics__f1", css="num", place="figure"),
        Column(
            "packets",
            "Packets",
            lambda run: f"{run.packets_done} of {run.packets_total}",
            sort="packets_done",
            css="num nowrap",
        ),
        Column(
            "engine", "Engine and hardware", "engine", sort="engine", sub="instance_type",
            css="nowrap",
        ),
        Column(
            "by", "Asked by", "requested_by.name", sort="requested_by__name", css="nowrap"
        ),
        Column("asked", "Asked", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column(
            "finished", "Finished", "finished_at", kind="time", sort="finished_at",
            unknown="not yet", optional=True, at_first=False,
        ),
        Column("suite", "Suite", "suite", sort="suite__slug", optional=True),
    ),
    search=("model_version__registered_model__name", "requested_by__name"),
    search_words="Model or person",
    filters=RunFilters,
    order="-asked",
    empty=Empty(
        "No evaluation runs yet",
        "Model owners and reviewers start a run from the page of a verified version.",
        "Open the catalog",
        reverse_lazy("catalog:model_list"),
    ),
)  # fmt: skip
