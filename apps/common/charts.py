"""Charts as data: the figures as JSON for the script, and the same ones as a table. Pure.

How to use:

    chart = LineChart(
        name="tokens", title="Tokens a minute", unit=TOKENS,
        at=minutes,                                  # aware moments, ascending
        series=(
            Series("prior-auth-extract", values, hue=hues["prior-auth-extract"]),
            Series("p95", p95, dashed=True),
        ),
        ranges=(Range("6 h", "?hours=6", True), Range("24 h", "?hours=24")),
        limit=Limit(80, "limit of the grant"),
    )

and in the template  {% chart chart %}  with  {% block scripts %}{% chart_script %}{% endblock %}.

A None is a gap: the line breaks, the cell stays empty, the table says "not measured". Never pass 0
for what nobody knows. Values are ints, floats or Decimals in the chart's unit; bounds of a band are
two sequences of the same length. The hover shows the words of the table, so that both say the same.

A model keeps its color on every page: take `hue` from apps.catalog.hues. Series without one get the
next that is free. look: "idle" is hatched and neutral, "unallocated" is outlined.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from apps.common.money import usd

HUES = 8
UNKNOWN = "not measured"
Number = int | float | Decimal
Look = Literal["", "idle", "unallocated"]
Moment = datetime | date


@dataclass(frozen=True)
class Unit:
    """What the figures count. name: on the axis. say: a figure in words, with its unit.

    sign and places tell the script how to write the axis: "$" before, or a word after.
    """

    name: str
    say: Callable[[Number], str]
    places: int = 0
    sign: str = ""

    def words(self, value: Number | None) -> str:
        """Return a figure as the table and the hover show it."""
        return UNKNOWN if value is None else self.say(value)


def counted(name: str, places: int = 0, one: str = "") -> Unit:
    """Return a unit that is written after the figure: counted("tokens", one="token")."""

    def say(value: Number) -> str:
        figure = f"{value:,.{places}f}"
        return f"{figure} {one if one and figure == '1' else name}"

    return Unit(name, say, places)


USD = Unit("USD", lambda value: usd(Decimal(str(value))), places=2, sign="$")
PERCENT = Unit("%", lambda value: f"{value:.0f} %", sign="%")
SECONDS = counted("s", 2)
TOKENS = counted("tokens", one="token")
MILLISECONDS = counted("ms")


def length(seconds: Number) -> str:
    """Return a length of time as people say it: "42 s", "3 min 05 s", "2 h 10 min", "3 d 4 h"."""
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 1:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes} min {whole % 60:02} s"
    if days < 1:
        return f"{hours} h {minutes % 60:02} min"
    return f"{days} d {hours % 24} h"


LENGTH = Unit("", length)  # a time line has no scale of lengths


@dataclass(frozen=True)
class Series:
    """One line, area or set of bars. band: (lowest, highest) around it, each as long as values."""

    name: str
    values: Sequence[Number | None]
    hue: int | None = None
    band: tuple[Sequence[Number | None], Sequence[Number | None]] | None = None
    band_words: str = "lowest to highest"
    dashed: bool = False
    look: Look = ""


@dataclass(frozen=True)
class Limit:
    """A line across the chart, and what it means."""

    value: Number
    words: str


@dataclass(frozen=True)
class Range:
    """A link to the same chart over another time."""

    words: str
    url: str
    is_current: bool = False


@dataclass(frozen=True)
class Key:
    """A line of the legend: a swatch and its name. hue counts from 1, as the style sheet does."""

    name: str
    hue: int
    look: Look = ""
    dashed: bool = False

    @property
    def css(self) -> str:
        """Return the swatch's classes."""
        look = "dashed" if self.dashed else self.look
        return f"hue-{self.hue} look-{look}" if look else f"hue-{self.hue}"


@dataclass(frozen=True)
class TableOf:
    """A chart's figures as a table. A row begins with a moment or with words."""

    head: Sequence[str]
    rows: Sequence[tuple[Moment | str, Sequence[str]]]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What all charts have. name: of its element. note: a line below, "simulated".

    newest: the figure that people came for, in words, beside the title.
    """

    name: str
    title: str
    unit: Unit
    ranges: Sequence[Range] = ()
    newest: str = ""
    note: str = ""
    size: Literal["small", "normal", "tall"] = "normal"

    kind = ""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was measured."""
        raise NotImplementedError

    @property
    def keys(self) -> list[Key]:
        """Return the legend; nothing where the chart names things itself."""
        return []

    def table(self) -> TableOf:
        """Return its figures in words."""
        raise NotImplementedError

    def figures(self) -> dict[str, Any]:
        """Return its figures for the script, beside `data`'s."""
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        """Return what the script draws, as JSON takes it."""
        unit = {"name": self.unit.name, "places": self.unit.places, "sign": self.unit.sign}
        return {"kind": self.kind, "unit": unit, **self.figures()}


@dataclass(frozen=True, kw_only=True)
class _OverTime(Chart):
    """Series over moments, over days, or over months by their first days (is_monthly). Raises
    ValueError where a series has another length.
    """

    at: Sequence[Moment]
    series: Sequence[Series]
    limit: Limit | None = None
    is_monthly: bool = False

    def __post_init__(self) -> None:
        for each in self.series:
            rows = (each.values, *(each.band or ()))
            if any(len(row) != len(self.at) for row in rows):
                raise ValueError(f"{each.name}: {len(self.at)} moments, other figures")

    @property
    def is_empty(self) -> bool:
        """Return whether no series has a figure."""
        return not any(value is not None for each in self.series for value in each.values)

    def table(self) -> TableOf:
        """Return a row a moment; a band's bounds stand beside its figure."""
        rows = []
        for place, at in enumerate(self.at):
            head = f"{at:%b %Y}" if self.is_monthly else at
            rows.append((head, [self._words(each, place) for each in self.series]))
        axis = "Month" if self.is_monthly else _axis(self.at)
        return TableOf([axis, *(each.name for each in self.series)], rows)

    def _words(self, series: Series, place: int) -> str:
        found = self.unit.words(series.values[place])
        if series.band is None or series.band[0][place] is None:
            return found
        low, high = (self.unit.words(side[place]) for side in series.band)
        return f"{found} ({low} to {high})"

    @property
    def keys(self) -> list[Key]:
        """Return the legend; one line alone needs none."""
        if len(self.series) == 1:
            return []
        return [
            Key(each.name, hue % HUES + 1, each.look, each.dashed or hue >= HUES)
            for each, hue in _colored(self.series)
        ]

    def figures(self) -> dict[str, Any]:
        """Return the moments and each series."""
        limit = {"value": _plain(self.limit.value), "words": self.limit.words} if self.limit else {}
        return {
            "at": [at.isoformat() for at in self.at],
            "days": _axis(self.at) == "Day",
            "months": self.is_monthly,
            "limit": limit or None,
            "series": [_series(each, hue) for each, hue in _colored(self.series)],
        }


@dataclass(frozen=True, kw_only=True)
class LineChart(_OverTime):
    """Lines, each with its band where it has one."""

    kind = "lines"


@dataclass(frozen=True, kw_only=True)
class StackChart(_OverTime):
    """Areas or bars on top of each other: parts of a whole."""

    shape: Literal["area", "bars"] = "area"

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Return how it is drawn."""
        return self.shape

    def table(self) -> TableOf:
        """Return a row a moment, with its sum; a moment with an unknown part has no sum."""
        plain = super().table()
        rows = []
        for place, (at, cells) in enumerate(plain.rows):
            parts = [each.values[place] for each in self.series]
            known = [Decimal(str(part)) for part in parts if part is not None]
            whole = self.unit.words(sum(known)) if len(known) == len(parts) else UNKNOWN
            rows.append((at, [*cells, whole]))
        return TableOf([*plain.head, "Together"], rows)


@dataclass(frozen=True, kw_only=True)
class HeatMap(Chart):
    """A cell for each row at each moment; the darker, the more. values: one row for each name."""

    at: Sequence[Moment]
    rows: Sequence[str]
    values: Sequence[Sequence[Number | None]]

    kind = "heat"

    @property
    def is_empty(self) -> bool:
        """Return whether no cell has a figure."""
        return not any(value is not None for row in self.values for value in row)

    def table(self) -> TableOf:
        """Return a row a moment, a column a name."""
        cells = [
            (at, [self.unit.words(row[place]) for row in self.values])
            for place, at in enumerate(self.at)
        ]
        return TableOf([_axis(self.at), *self.rows], cells)

    def figures(self) -> dict[str, Any]:
        """Return the moments, the names, and the cells that have a figure."""
        return {
            "at": [at.isoformat() for at in self.at],
            "days": _axis(self.at) == "Day",
            "rows": list(self.rows),
            "cells": [
                [place, line, _plain(value)]
                for line, row in enumerate(self.values)
                for place, value in enumerate(row)
                if value is not None
            ],
        }


@dataclass(frozen=True)
class Flow:
    """So much goes from one node to another."""

    source: str
    target: str
    value: Number


@dataclass(frozen=True, kw_only=True)
class Sankey(Chart):
    """How a whole is divided, step by step. hues: of the nodes that have one; looks: of others.

    heads: what each step is called, "GPU type", "Model", "Cost center". A node's name is shown once
    in a step; flows without a value are left out. Flows must not lead back.
    """

    flows: Sequence[Flow]
    heads: Sequence[str] = ()
    hues: Mapping[str, int] = field(default_factory=dict)
    looks: Mapping[str, Look] = field(default_factory=dict)

    kind = "sankey"

    @property
    def is_empty(self) -> bool:
        """Return whether nothing flows."""
        return not any(flow.value for flow in self.flows)

    @property
    def drawn(self) -> list[Flow]:
        """Return the flows that carry something."""
        return [flow for flow in self.flows if flow.value]

    def table(self) -> TableOf:
        """Return a row a flow."""
        rows = [(flow.source, [flow.target, self.unit.words(flow.value)]) for flow in self.drawn]
        return TableOf(["From", "To", self.unit.name], rows)

    def figures(self) -> dict[str, Any]:
        """Return nodes and flows."""
        names = dict.fromkeys(name for flow in self.drawn for name in (flow.source, flow.target))
        return {
            "heads": list(self.heads),
            "nodes": [
                {"name": name, "hue": self.hues.get(name), "look": self.looks.get(name, "")}
                for name in names
            ],
            "links": [[flow.source, flow.target, _plain(flow.value)] for flow in self.drawn],
        }


@dataclass(frozen=True)
class Span:
    """A stretch [from_at, to_at) of a row; None at the end: it goes on. words: of this one.

    kind, hue, look: what it shares with others, as the legend names it; "idle" is hatched: nobody
    observed it.
    """

    row: str
    words: str
    from_at: datetime
    to_at: datetime | None
    hue: int = 0
    look: Look = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class TimeLine(Chart):
    """What was when: a row a thing, a bar a stretch, over [from_at, to_at)."""

    from_at: datetime
    to_at: datetime
    spans: Sequence[Span]

    kind = "spans"

    @property
    def keys(self) -> list[Key]:
        """Return the legend: what the bars say, once each."""
        found: dict[str, Key] = {}
        for span in self.spans:
            kind = span.kind or span.words
            found.setdefault(kind, Key(kind, span.hue % HUES + 1, span.look))
        return list(found.values()) if len(found) > 1 else []

    @property
    def is_empty(self) -> bool:
        """Return whether there is no stretch."""
        return not self.spans

    @property
    def rows(self) -> list[str]:
        """Return the rows' names, in the order in which they come first."""
        return list(dict.fromkeys(span.row for span in self.spans))

    def table(self) -> TableOf:
        """Return a row a stretch."""
        rows = [
            (span.row, [span.words, _clock(span.from_at), _clock(span.to_at), self._length(span)])
            for span in self.spans
        ]
        return TableOf(["Of", "What", "From (UTC)", "To (UTC)", "Length"], rows)

    def _length(self, span: Span) -> str:
        return self.unit.words(((span.to_at or self.to_at) - span.from_at).total_seconds())

    def figures(self) -> dict[str, Any]:
        """Return the window, the rows and the stretches within it."""
        rows = self.rows
        return {
            "from": self.from_at.isoformat(),
            "to": self.to_at.isoformat(),
            "rows": rows,
            "spans": [
                {
                    "row": rows.index(span.row),
                    "words": span.words,
                    "from": max(span.from_at, self.from_at).isoformat(),
                    "to": min(span.to_at or self.to_at, self.to_at).isoformat(),
                    "hue": span.hue % HUES,
                    "look": span.look,
                }
                for span in self.spans
            ],
        }


def _axis(at: Sequence[Moment]) -> str:
    """Return the first column's name. Moments are shown in the person's zone, days in none."""
    return "Time" if not at or isinstance(at[0], datetime) else "Day"


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else "goes on"


def _plain(value: Number | None) -> int | float | None:
    return float(value) if isinstance(value, Decimal) else value


def _colored(series: Sequence[Series]) -> list[tuple[Series, int]]:
    """Return each series with its hue, those without one with the next that is free."""
    taken = {each.hue % HUES for each in series if each.hue is not None}
    free = [hue for hue in range(HUES) if hue not in taken] or list(range(HUES))
    found, place = [], 0
    for each in series:
        if each.hue is not None:
            found.append((each, each.hue))
        else:
            found.append((each, free[place % len(free)]))
            place += not each.look
    return found


def _series(series: Series, hue: int) -> dict[str, Any]:
    """Return a series for the script. Past the eighth hue a line is dashed as well."""
    band = [[_plain(value) for value in side] for side in series.band] if series.band else None
    return {
        "name": series.name,
        "values": [_plain(value) for value in series.values],
        "hue": hue % HUES,
        "band": band,
        "band_words": series.band_words,
        "dashed": series.dashed or hue >= HUES,
        "look": series.look,
    }
