"""A replica's last hours, one chart per sign, drawn as SVG. Pure: rows in, coordinates out.

One unit of x is a minute; y is 0 at the top and 100 at the bottom. A minute without a row was not
observed: the line breaks there and the ground is shaded. It is never drawn as zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.fleet.gpu_map import number, percent, seconds
from apps.fleet.metrics import signals
from apps.fleet.metrics.models import ReplicaSample, UtilizationSample

MINUTE = timedelta(minutes=1)
Value = Callable[[ReplicaSample], float | None]


@dataclass(frozen=True)
class Chart:
    """One sign. lines: points of SVG polylines; dots: minutes alone between others that nobody saw.

    top: what the chart's upper edge means; limit: from there on it shows saturation, as y, "" where
    it is not in view.
    """

    title: str
    newest: str
    top: str
    lines: list[str]
    dots: list[tuple[str, str]]
    limit: str
    words: str


@dataclass(frozen=True)
class Window:
    """The minutes that are shown: [from_at, to_at). dark: (x, width) of stretches that nobody
    observed.
    """

    from_at: datetime
    to_at: datetime
    dark: list[tuple[int, int]]

    @property
    def minutes(self) -> int:
        """Return its length."""
        return int((self.to_at - self.from_at) / MINUTE)


def window(rows: Sequence[ReplicaSample], from_at: datetime, to_at: datetime) -> Window:
    """Return the window with its unobserved stretches."""
    seen = {int((row.minute - from_at) / MINUTE) for row in rows}
    dark: list[tuple[int, int]] = []
    for place in range(int((to_at - from_at) / MINUTE)):
        if place in seen:
            continue
        if dark and dark[-1][0] + dark[-1][1] == place:
            dark[-1] = (dark[-1][0], dark[-1][1] + 1)
        else:
            dark.append((place, 1))
    return Window(from_at, to_at, dark)


def charts(
    rows: Sequence[ReplicaSample], power: Sequence[UtilizationSample], view: Window
) -> list[Chart]:
    """Return the charts of a replica's signs, and of its GPU's power where it was measured."""
    found = [
        _chart(
            "KV-cache use",
            rows,
            view,
            lambda row: row.kv_use,
            percent,
            limit=signals.KV_FULL,
            top=1.0,
        ),
        _chart("Requests waiting, mean", rows, view, lambda row: row.waiting, number, limit=1.0),
        _chart("Requests running, mean", rows, view, lambda row: row.running, number),
        _chart(
            "Time to first token, p95",
            rows,
            view,
            lambda row: row.ttft_p95,
            seconds,
            limit=signals.TTFT_SECONDS,
        ),
        _chart("Tokens out per second", rows, view, lambda row: row.generation_rate, number),
    ]
    watts = [(row.minute, row.power_watts) for row in power]
    if watts:
        device = power[-1].device
        cap = signals.power_cap(device.model_name)
        title = "GPU power, simulated" if device.is_simulated else "GPU power"
        limit = cap * signals.POWER_SHARE if cap is not None else None
        found.append(
            _draw(title, watts, view, lambda value: f"{number(value)} W", limit=limit, top=cap)
        )
    return found


def _chart(
    title: str,
    rows: Sequence[ReplicaSample],
    view: Window,
    value: Value,
    say: Callable[[float | None], str],
    *,
    limit: float | None = None,
    top: float | None = None,
) -> Chart:
    return _draw(title, [(row.minute, value(row)) for row in rows], view, say, limit=limit, top=top)


def _draw(
    title: str,
    points: Sequence[tuple[datetime, float | None]],
    view: Window,
    say: Callable[[float | None], str],
    *,
    limit: float | None,
    top: float | None,
) -> Chart:
    known = [
        (int((at - view.from_at) / MINUTE), value) for at, value in points if value is not None
    ]
    most = max((value for _, value in known), default=0.0)
    edge = max(top or 0.0, most) or 1.0
    lines, dots = [], []
    for run in _runs(known):
        places = [(f"{place + 0.5:g}", f"{100 - 100 * value / edge:.1f}") for place, value in run]
        if len(places) == 1:
            dots.append(places[0])
        else:
            lines.append(" ".join(f"{x},{y}" for x, y in places))
    newest = say(known[-1][1]) if known else "—"
    words = (
        f"{title}: {newest} now, at most {say(most)}" if known else f"{title}: nothing was measured"
    )
    mark = f"{100 - 100 * limit / edge:.1f}" if limit is not None and limit <= edge else ""
    return Chart(title, newest, say(edge), lines, dots, mark, words)


def _runs(points: Sequence[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Return the points in stretches without a missing minute."""
    runs: list[list[tuple[int, float]]] = []
    for place, value in points:
        if runs and runs[-1][-1][0] + 1 == place:
            runs[-1].append((place, value))
        else:
            runs.append([(place, value)])
    return runs
