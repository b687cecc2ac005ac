"""Who calls a model: its hourly sums added up by team and version, never by person."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from apps.common.simulated import Simulated
from apps.fleet.simulated import stand_in_versions
from apps.metering.models import HourlyUsage

SUMS = (
    "metered_calls",
    "unmetered_calls",
    "refused_calls",
    "failed_calls",
    "input_tokens",
    "output_tokens",
)


@dataclass(frozen=True)
class ModelLine:
    """What one team asked of one version. team and version: "" where the calls name none."""

    team: str
    version: str
    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    failed_calls: int
    input_tokens: int
    output_tokens: int
    simulated: Simulated


def model_lines(*, model: str, team: str | None, since: datetime) -> list[ModelLine]:
    """Return the usage of a model in the hours from `since` on; two queries.

    team: the only one whose usage is wanted; None for every team's.
    """
    rows = HourlyUsage.objects.filter(model=model, hour__gte=since)
    if team is not None:
        rows = rows.filter(team=team)
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    found = list(rows.order_by().values_list("team", "version").annotate(**sums))
    played = stand_in_versions({version for _, version, *_ in found})
    return [
        ModelLine(
            team,
            version,
            **dict(zip(SUMS, figures, strict=True)),
            simulated=Simulated(engine=version in played),
        )
        for team, version, *figures in found
    ]
