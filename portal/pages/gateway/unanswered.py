"""The page of calls that got no answer: how many over time, why, and who met it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

import django_filters
from django.http.response import HttpResponseBase
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.chargeback.month.words import Stat
from apps.common.badges import Badge
from apps.common.charts import Chart, Look, Range, Series, StackChart, counted
from apps.common.filters import Filters
from apps.common.periods import DAY, HOUR, day_of, hour_of, start_of_day
from apps.common.tables.columns import Column, Empty, Table
from apps.common.tables.reading import respond
from apps.metering import store
from apps.metering.models import REFUSALS, Outcome
from apps.metering.tables import BADGES, NONE, calls_url
from apps.metering.unanswered import BY_KEY, REASONS, Asked, Counts, Line, lines, over_time
from portal.pages.gateway.asking import address_of
from portal.pages.gateway.whose import sees_all, team_asked_for

CALLS = counted("calls", one="call")
# a reason keeps its color whatever others there are; those of no one code are neutral
LOOKS: dict[str, Look] = {"refused": "unallocated", "failed": "idle"}
HUES = {key: hue for hue, key in enumerate(key for key in BY_KEY if key not in LOOKS)}
HUES |= dict.fromkeys(LOOKS, 0)


@dataclass(frozen=True)
class Span:
    """A time that the page can show, up to now."""

    key: str
    words: str
    length: timedelta
    step: timedelta

    def start(self, moment: datetime) -> datetime:
        """Return where it begins: with a whole step."""
        last = hour_of(moment) if self.step == HOUR else start_of_day(day_of(moment))
        return last + self.step - self.length


SPANS = (
    Span("24h", "24 hours", DAY, HOUR),
    Span("7d", "7 days", 7 * DAY, HOUR),
    Span("30d", "30 days", 30 * DAY, DAY),
)


@require_GET
def unanswered(request: SignedIn) -> HttpResponseBase:
    """Show the calls that were refused or failed in a time, of one's own team or of all; the lines
    as CSV, too.
    """
    asked_for = request.GET
    span = next((one for one in SPANS if one.key == asked_for.get("span")), SPANS[0])
    moment = now()
    end = hour_of(moment) + HOUR
    start = span.start(moment)
    team = team_asked_for(request.user, _named(asked_for.get("team")))
    model = _named(asked_for.get("model"))
    asked = Asked(start, end, team, model)
    before = Asked(start - span.length, end - span.length, team, model)
    found = lines(asked)
    every = _of_anybody(request, asked) if _is_narrowed(request) else found
    context = {
        "sees_all": sees_all(request.user),
        "team": asked_for.get("team", ""),
        "model": asked_for.get("model", ""),
        "teams": _choices({line.team for line in every}, asked_for.get("team")),
        "models": _choices({line.model for line in every}, asked_for.get("model")),
        "span": span,
        "spans": [Range(one.words, _url(request, one), one == span) for one in SPANS],
        "stats": _stats(found, lines(before), span),
        "chart": _chart(over_time(asked, span.step), asked, span),
        "latest": store.latest_call_at(),
        "waiting": store.hours_waiting(start, end),
    }
    rows = [Shown(line, start, end) for line in found]
    return respond(LINES, request, rows, "gateway/unanswered.html", context)


def _is_narrowed(request: SignedIn) -> bool:
    return any(request.GET.get(name) for name in ("team", "model"))


def _of_anybody(request: SignedIn, asked: Asked) -> list[Line]:
    """Return all lines of the time that the person may see: to choose another team or model."""
    return lines(Asked(asked.start, asked.end, team_asked_for(request.user, None), None))


def _named(value: str | None) -> str | None:
    """Return the name that a choice stands for: "" for calls that name none, None for any."""
    return "" if value == NONE else value or None


def _choices(names: set[str], chosen: str | None) -> list[str]:
    """Return the names to choose from, that which is chosen among them."""
    found = {name or NONE for name in names} | ({chosen} if chosen else set())
    return sorted(found)


def _url(request: SignedIn, span: Span) -> str:
    kept = {name: request.GET[name] for name in ("team", "model") if request.GET.get(name)}
    return f"?{urlencode({'span': span.key, **kept})}"


def _stats(found: Sequence[Line], before: Sequence[Line], span: Span) -> list[Stat]:
    now_, then = ({outcome: _sum(rows, outcome) for outcome in (Outcome.REFUSED, Outcome.FAILED)}
                  for rows in (found, before))  # fmt: skip
    by_reason: dict[str, int] = {}
    for line in found:
        by_reason[line.reason.label] = by_reason.get(line.reason.label, 0) + line.calls
    often = max(by_reason, key=lambda label: by_reason[label], default="")
    note = f"in the last {span.words}"
    return [
        Stat("Refused", figure=f"{now_[Outcome.REFUSED]:,}", note=note, is_key=True,
             change=_change(now_[Outcome.REFUSED], then[Outcome.REFUSED], span)),
        Stat("Failed", figure=f"{now_[Outcome.FAILED]:,}", note="nothing answered them",
             change=_change(now_[Outcome.FAILED], then[Outcome.FAILED], span)),
        Stat("Most often", figure=often.partition(":")[0] if often else "none",
             note=f"{often.partition(': ')[2] or often}, {by_reason[often]:,}" if often else ""),
    ]  # fmt: skip


def _sum(rows: Sequence[Line], outcome: Outcome) -> int:
    return sum(line.calls for line in rows if line.reason.outcome == outcome)


def _change(count: int, before: int, span: Span) -> str:
    """Return how a count stands to that of the time before; "" where both are 0."""
    if count == before:
        return "as many as before" if count else ""
    return f"{count - before:+,} against the {span.words} before".replace("-", "−")


def _chart(found: dict[datetime, Counts], asked: Asked, span: Span) -> Chart:
    at = _steps(asked, span.step)
    seen = {reason for counts in found.values() for reason in counts}
    series = [
        Series(reason.label, [found.get(when, {}).get(reason, 0) for when in at],
               hue=REASONS.index(reason))
        for reason in REASONS if reason in seen
    ]  # fmt: skip
    moments = at if span.step == HOUR else [day_of(when) for when in at]
    return StackChart(
        name="unanswered", title="Calls without an answer, by reason", unit=CALLS, shape="bars",
        at=moments, series=series, size="tall",
    )  # fmt: skip


def _steps(asked: Asked, step: timedelta) -> list[datetime]:
    found = [asked.start]
    while found[-1] + step < asked.end:
        found.append(found[-1] + step)
    return found


# -- The table -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shown:
    """A line, and the time that it is of."""

    line: Line
    start: datetime
    end: datetime

    @property
    def badge(self) -> Badge:
        """Return whether they were refused or failed."""
        return BADGES[self.line.reason.outcome]

    @property
    def why_url(self) -> str:
        """Return where it is explained why the team's calls of the model pass or not."""
        team, model = self.line.team, self.line.model
        return address_of(team, model) if team and model else ""

    @property
    def calls_url(self) -> str:
        """Return the address of the calls of these days."""
        reason, line = self.line.reason, self.line
        code = {"code": reason.code} if reason.code in REFUSALS else {}
        return calls_url(
            start=start_of_day(day_of(self.start)), end=self.end, outcome=reason.outcome.value,
            team=line.team, model=line.model, **code,
        )  # fmt: skip


class LineFilters(Filters):
    """For the page, whose rows are Shown."""

    reason = django_filters.ChoiceFilter(
        field_name="line.reason.key",
        label="Reason",
        choices=[(reason.key, reason.label) for reason in REASONS],
        empty_label="Any reason",
    )


LINES = Table(
    name="unanswered",
    noun=("line", "lines"),
    columns=(
        Column("team", "Team", "line.team", sort=("line.team", "line.model"), csv_head="team",
               place="name", unknown="none named"),
        Column("model", "Model", "line.model", sort=("line.model", "line.team"), csv_head="model",
               unknown="none named"),
        Column("why", "Reason", "line.reason.label", sort="line.reason.label", csv_head="why",
               url=lambda row: row.why_url),
        Column("outcome", "Outcome", "badge", kind="badge", sort="line.reason.outcome",
               csv="line.reason.outcome", csv_head="outcome"),
        Column("code", "Code", "line.reason.code", kind="figure", sort="line.reason.code",
               csv_head="code", optional=True, at_first=False, unknown="others"),
        Column("calls", "Calls", "line.calls", kind="figure", sort="line.calls",
               total="line.calls", csv_head="calls", place="figure",
               url=lambda row: row.calls_url),
    ),
    search=("line.team", "line.model"),
    search_words="Team or model",
    filters=LineFilters,
    order="-calls",
    empty=Empty(
        "Every call got an answer",
        "Nothing was refused, and nothing failed, in this time.",
        icon="circle-check",
    ),
)  # fmt: skip
