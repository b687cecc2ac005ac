"""The list of objectives as a table. Declarations only."""

from collections.abc import Sequence
from typing import Any

from django.utils.timezone import now

from apps.common.tables.columns import Column, Empty, Table
from apps.slo import words
from apps.slo.filters import ObjectiveFilters
from apps.slo.models import Objective
from apps.slo.queries import Line, lines


def _with_days(rows: Sequence[Objective]) -> Sequence[Line]:
    return lines(rows, now())


def _burn(name: str) -> Any:
    def value(line: Line) -> str | None:
        rate = getattr(line.standing, name, None)
        return None if rate is None else words.burn_words(rate)

    return value


def _raw(name: str) -> Any:
    def value(line: Line) -> Any:
        return getattr(line.standing, name, None)

    return value


def _left(line: Line) -> str | None:
    known = line.standing is not None and line.standing.budget_left is not None
    return line.left if known else None


def _measured(line: Line) -> int | None:
    return line.standing.good + line.standing.bad if line.standing else None


OBJECTIVES = Table(
    name="objectives",
    noun=("objective", "objectives"),
    columns=(
        Column(
            "model", "Model", "model.name", sort="registered_model__name", css="nowrap",
            url=lambda line: line.objective.get_absolute_url(), place="name",
        ),
        Column("promise", "Objective", "promise", sort=("kind", "target_percent"), css="wide"),
        Column("window", "Over", "window", sort=("window", "window_days"), css="nowrap"),
        Column(
            "state", "State", "badge", kind="badge", sort="standing__health",
            csv=_raw("health"), place="figure", css="nowrap",
        ),
        Column(
            "left", "Error budget", _left, kind="figure", sort="standing__budget_left",
            csv=_raw("budget_left"), csv_head="budget_left", unknown=words.NOT_MEASURED,
            css="nowrap",
        ),
        Column(
            "trend", "28 days", "spark", template="slo/_spark_cell.html", csv=lambda line: None,
            css="nowrap",
        ),
        Column(
            "burn_1h", "Burn, 1 h", _burn("burn_1h"), kind="figure", sort="standing__burn_1h",
            csv=_raw("burn_1h"), csv_head="burn_1h", unknown=words.NOT_MEASURED, css="nowrap",
        ),
        Column(
            "burn_6h", "Burn, 6 h", _burn("burn_6h"), kind="figure", sort="standing__burn_6h",
            csv=_raw("burn_6h"), csv_head="burn_6h", unknown=words.NOT_MEASURED, css="nowrap",
        ),
        Column(
            "burn_3d", "Burn, 3 d", _burn("burn_3d"), kind="figure", sort="standing__burn_3d",
            csv=_raw("burn_3d"), csv_head="burn_3d", unknown=words.NOT_MEASURED, css="nowrap",
        ),
        Column(
            "calls", "Calls measured", _measured, kind="figure", unknown=words.NOT_MEASURED,
            optional=True, at_first=False,
        ),
        Column(
            "unmeasured", "Not measured", _raw("unknown"), kind="figure", sort="standing__unknown",
            unknown=words.NOT_MEASURED, optional=True, at_first=False,
        ),
        Column(
            "holds", "Holds rollouts",
            lambda line: "yes" if line.objective.holds_rollouts else "no",
            sort="holds_rollouts", optional=True, at_first=False,
        ),
        Column("id", "Id", "objective.pk", kind="mono", optional=True, at_first=False),
    ),
    search=("registered_model__name",),
    search_words="Model",
    filters=ObjectiveFilters,
    order="left",
    empty=Empty(
        "No objective yet",
        "What the callers of a model may count on is set on the model's page, by its owners or a "
        "platform engineer.",
        icon="gauge",
    ),
    with_facts=_with_days,
)  # fmt: skip
