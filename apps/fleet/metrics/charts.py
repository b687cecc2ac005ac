"""A replica's last hours, one chart per sign of load. Pure: rows in, charts out.

A minute without a row was not observed, and a row may lack a figure that the engine did not give:
both are gaps. Neither is ever drawn as zero.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from apps.common.charts import Limit, LineChart, Series, Unit
from apps.fleet.gpu_map import number, percent, seconds
from apps.fleet.metrics import signals
from apps.fleet.metrics.models import ReplicaSample, UtilizationSample

MINUTE = timedelta(minutes=1)
LONGEST_BY_MINUTE = timedelta(hours=6)
Value = Callable[[ReplicaSample], float | None]

KV = Unit("%", lambda value: percent(float(value) / 100), sign="%")
REQUESTS = Unit("requests", lambda value: number(float(value)))
TTFT = Unit("s", lambda value: seconds(float(value)), places=2)
RATE = Unit("tokens a second", lambda value: number(float(value)))
WATTS = Unit("W", lambda value: f"{number(float(value))} W")
SATURATED = "saturated from here"
SIGNS: tuple[tuple[str, str, Unit, Value, Limit | None], ...] = (
    (
        "kv",
        "KV-cache use",
        KV,
        lambda row: None if row.kv_use is None else 100 * row.kv_use,
        Limit(100 * signals.KV_FULL, SATURATED),
    ),
    ("waiting", "Requests waiting, mean", REQUESTS, lambda row: row.waiting, Limit(1, SATURATED)),
    ("running", "Requests running, mean", REQUESTS, lambda row: row.running, None),
    (
        "ttft",
        "Time to first token, p95",
        TTFT,
        lambda row: row.ttft_p95,
        Limit(signals.TTFT_SECONDS, SATURATED),
    ),
    ("rate", "Tokens out", RATE, lambda row: row.generation_rate, None),
)


def charts(
    rows: Sequence[ReplicaSample],
    power: Sequence[UtilizationSample],
    from_at: datetime,
    to_at: datetime,
) -> list[LineChart]:
    """Return the charts of a replica's signs over [from_at, to_at), and of its GPU's power where it
    was measured: one value for each step, the mean where a step is longer than a minute.
    """
    step = step_of(from_at, to_at)
    moments = [from_at + place * step for place in range(-(-(to_at - from_at) // step))]
    found = [
        _chart(name, title, unit, moments, {row.minute: value(row) for row in rows}, limit)
        for name, title, unit, value, limit in SIGNS
    ]
    if power:
        device = power[-1].device
        cap = signals.power_cap(device.model_name)
        limit = Limit(cap * signals.POWER_SHARE, SATURATED) if cap is not None else None
        title = "GPU power, simulated" if device.is_simulated else "GPU power"
        watts = {row.minute: row.power_watts for row in power}
        found.append(_chart("power", title, WATTS, moments, watts, limit))
    return found


def step_of(from_at: datetime, to_at: datetime) -> timedelta:
    """Return how long one value of a chart stands for: a minute, over many hours five."""
    return MINUTE if to_at - from_at <= LONGEST_BY_MINUTE else 5 * MINUTE


def _chart(
    name: str,
    title: str,
    unit: Unit,
    moments: Sequence[datetime],
    known: dict[datetime, float | None],
    limit: Limit | None,
) -> LineChart:
    newest = next(
        (value for _, value in sorted(known.items(), reverse=True) if value is not None), None
    )
    return LineChart(
        name=name,
        title=title,
        unit=unit,
        at=moments,
        series=[_series(title, moments, known)],
        limit=limit,
        newest="" if newest is None else unit.say(newest),
        size="small",
    )


def _series(title: str, moments: Sequence[datetime], known: dict[datetime, float | None]) -> Series:
    """Return one value a moment; where it stands for several minutes, their mean within a band."""
    step = moments[1] - moments[0] if len(moments) > 1 else MINUTE
    if step == MINUTE:
        return Series(title, [known.get(moment) for moment in moments], hue=0)
    groups: list[list[float]] = [[] for _ in moments]
    for minute, value in known.items():
        place = (minute - moments[0]) // step
        if value is not None and 0 <= place < len(groups):
            groups[place].append(value)
    means = [sum(group) / len(group) if group else None for group in groups]
    lowest = [min(group, default=None) for group in groups]
    highest = [max(group, default=None) for group in groups]
    return Series(title, means, hue=0, band=(lowest, highest))
