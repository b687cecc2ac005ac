"""/style: every piece of the pages in every state, for those who build pages and for the tests.

What it shows is made up here, and says so. It reads no row and changes none.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import django_filters
from django import forms
from django.http.response import HttpResponseBase
from django.shortcuts import render

from apps.accounts.requests import SignedIn
from apps.common import charts, diffs
from apps.common.badges import TONES, Badge
from apps.common.decisions import Card
from apps.common.filters import Filters
from apps.common.progress import Phase, Progress
from apps.common.tables.columns import Column, Empty, Table
from apps.common.tables.reading import csv_of, read, wants_csv

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
LONG = "behavioral-health-letter-drafting-for-utilization-review"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Model:
    """A row of the sample table; None is what nobody knows."""

    name: str
    title: str
    team: str
    state: Badge
    calls: int | None
    cost_usd: Decimal | None
    digest: str
    seen_at: datetime | None


MODELS = [
    Model("clinical-summary", "Summaries of clinical notes", "clinical-ai",
          Badge("ok", "", "Live v7"), 1_240_318, Decimal("8412.5031"), "sha256:9f31c2", NOW),
    Model(LONG, "Letters, with a name that is longer than most", "behavioral-health-operations",
          Badge("busy", "", "Rolling out v12 · 25 %"), 90, Decimal("0.0004"), "sha256:00ab17",
          NOW - 3 * HOUR),
    Model("prior-auth-extract", "Codes of prior authorizations", "claims-review",
          Badge("warn", "", "Drifted", title="It serves 3f9a…, approved was 77c0…"), None, None,
          "sha256:3f9a44", None),
    Model("appeals-triage", "<b>Sorting</b> of appeals", "claims-review",
          Badge("idle", "circle-pause", "Idle, wakes in ≈ 95 s"), 0, Decimal(0), "sha256:77c012",
          NOW - 72 * HOUR),
    Model("transcript-notes", "On the second page", "clinical-ai",
          Badge("bad", "", "Not ready"), 12, Decimal("3.20"), "sha256:4410aa", NOW - HOUR),
]  # fmt: skip


class ModelFilters(Filters):
    """Filters of the sample table."""

    team = django_filters.ChoiceFilter(
        label="Team", choices=[(row.team, row.team) for row in MODELS[1:3]], empty_label="Any team"
    )
    state = django_filters.ChoiceFilter(
        field_name="state.tone",
        label="State",
        choices=[(tone, tone.capitalize()) for tone in TONES],
        empty_label="Any state",
    )


TABLE = Table(
    name="models",
    noun=("model", "models"),
    columns=(
        Column("model", "Model", "name", sub="title", sort="name", url=lambda _: "#table",
               place="name"),
        Column("team", "Team", sort="team", optional=True),
        Column("state", "State", kind="badge", sort="state.words"),
        Column("calls", "Calls", kind="figure", sort="calls", total="calls",
               unknown="not measured"),
        Column("cost", "Cost", "cost_usd", kind="money", unit="this month", sort="cost_usd",
               total="cost_usd", place="figure", unknown="no price"),
        Column("digest", "Digest", kind="mono", optional=True, at_first=False),
        Column("seen", "Last call", "seen_at", kind="age", sort="seen_at", unknown="never",
               optional=True),
    ),
    search=("name", "title", "team"),
    search_words="Model, title or team",
    filters=ModelFilters,
    filters_in_line=1,
    order="model",
    page_size=4,
)  # fmt: skip
EMPTY = Table(
    name="nothing",
    noun=("claim", "claims"),
    columns=(Column("name", "Name", sort="name"),),
    order="name",
    prefix="empty",
    empty=Empty("No claims yet", "Karpenter makes one when a pod waits for a GPU.", icon="server"),
)


class Reason(forms.Form):
    """The form of the sample decision."""

    reason = forms.CharField(
        label="Reason", help_text="It is kept in the audit record.", widget=forms.Textarea
    )


def style(request: SignedIn) -> HttpResponseBase:
    """Show every piece in every state; the sample table answers as every table does."""
    if wants_csv(TABLE, request):
        return csv_of(TABLE, request, MODELS)
    context = {
        "badges": [Badge(tone, "", tone.capitalize(), title="More, on hover") for tone in TONES],
        "table": read(TABLE, request, MODELS),
        "nothing": read(EMPTY, request, []),
        "charts": _charts(),
        "diff": _diff(),
        "phases": _phases(),
        "progress": _progress(),
        "decisions": _decisions(),
        "facts": FACTS,
    }
    return render(request, "style.html", context)


FACTS = [
    ("Model", {"text": "clinical-summary", "url": "#kv"}),
    ("Manifest", {"text": "3f9a44be" * 8, "mono": True, "copy": True}),
    ("Baseline", ""),
    ("Engine", "vLLM 0.32, a stand-in: its figures are simulated"),
]


def _decisions() -> list[tuple[Card, Reason]]:
    open_ = Card(
        may_decide=True,
        title="",
        text="",
        approve="Approve and roll out v8 instead of v7",
        reject="Reject the proposal",
        withdraw="Withdraw",
        approve_url="#",
        reject_url="#",
        withdraw_url="",
    )
    blocked = replace(open_, blocked=("The evidence no longer holds.", "See the marked lines."))
    own = replace(
        open_,
        may_decide=False,
        title="You proposed this, so a reviewer decides.",
        text="Nobody decides on their own proposal.",
        withdraw_url="#",
    )
    return [
        (open_, Reason(auto_id="open_%s")),
        (blocked, Reason({"reason": ""}, auto_id="blocked_%s")),
        (own, Reason()),
        (replace(own, title="A reviewer decides on this.", withdraw_url=""), Reason()),
    ]


def _phases() -> list[Phase]:
    return [
        Phase("Asked for", "done", at=NOW - 5 * MINUTE),
        Phase("Node is launched", "done", "g6.12xlarge in us-east-1b, Spot", NOW - 4 * MINUTE),
        Phase("Weights are loaded", "now", since=NOW - 2 * MINUTE, typical_seconds=40),
        Phase("Answers", "next", typical_seconds=5, typical_note="2 starts, simulated nodes"),
        Phase("Failed once", "failed", "The engine crashed: out of memory."),
    ]


def _progress() -> list[Progress]:
    began = NOW - 2 * MINUTE
    return [
        Progress("Copying the weights", 120_000_000, 269_000_000, "bytes", began, 95),
        Progress("Packets evaluated", 41, 200, since=began, typical_seconds=600,
                 typical_note="of 3 runs"),
        Progress("Reading events", 12_000, None, since=began),
        Progress("Signing", 3, 9, failed="The key is locked. Ask the platform team to unseal it."),
    ]  # fmt: skip


def _diff() -> list[diffs.File]:
    before = "\n".join(f"line {number}: {'x' * (number % 7)}" for number in range(1, 41))
    after = before.replace("line 20: xxxxxx", "line 20: changed").replace("line 21: ", "line 21:")
    new = "kind: InferenceService\nmetadata:\n  name: clinical-summary-v8"
    found = diffs.between("serving/clinical-summary/v7.yaml", before, after)
    return found + diffs.between(f"serving/{LONG}/v8.yaml", "", new)


def _charts() -> list[charts.Chart]:
    minutes = [NOW - place * MINUTE for place in range(180, 0, -1)]
    wave = [None if 60 <= place < 80 else 40 + (place * 37 % 23) for place in range(180)]
    band = (
        [None if value is None else value - 8 for value in wave],
        [None if value is None else value + 14 for value in wave],
    )
    alone = [8 if place == 90 else None if 85 < place < 95 else place % 11 for place in range(180)]
    ranges = [charts.Range("3 h", "?hours=3", True), charts.Range("24 h", "?hours=24")]
    days = [(NOW - timedelta(days=place)).date() for place in range(14, 0, -1)]
    usd = [Decimal(300 + place * 17 % 90) for place in range(14)]
    parts = [
        charts.Series("clinical-summary", usd, hue=0),
        charts.Series(LONG, [value / 2 for value in usd], hue=1),
        charts.Series("Idle", [Decimal(80)] * 6 + [None] + [Decimal(60)] * 7, look="idle"),
        charts.Series("Unallocated", [Decimal(25)] * 14, look="unallocated"),
    ]
    flows = [
        charts.Flow("L40S", "clinical-summary", Decimal("4120.10")),
        charts.Flow("L40S", LONG, Decimal("1810.00")),
        charts.Flow("H100", "clinical-summary", Decimal("9210.44")),
        charts.Flow("H100", "Idle", Decimal("1399.99")),
        charts.Flow("clinical-summary", "Cost center 4100", Decimal("13330.54")),
        charts.Flow(LONG, "Cost center 4270, behavioral health", Decimal("1810.00")),
    ]
    return [
        charts.LineChart(
            name="lines", title="Time to first token", unit=charts.MILLISECONDS, at=minutes,
            series=[
                charts.Series("clinical-summary", wave, hue=0, band=band, band_words="p50 to p99"),
                charts.Series(LONG, alone, hue=1, dashed=True),
            ],
            limit=charts.Limit(70, "objective"), ranges=ranges, note="Simulated figures.",
        ),
        charts.StackChart(name="bars", title="Cost by day", unit=charts.USD, at=days, series=parts,
                          shape="bars"),
        charts.StackChart(
            name="area", title="Tokens a minute", unit=charts.TOKENS, at=minutes,
            series=[charts.Series("clinical-summary", wave, hue=0),
                    charts.Series("prior-auth-extract", alone, hue=2),
                    charts.Series("Idle", [None if value is None else 20 for value in wave],
                                  look="idle")],
        ),
        charts.HeatMap(
            name="heat", title="KV cache in use", unit=charts.PERCENT,
            at=[NOW - place * HOUR for place in range(24, 0, -1)],
            rows=["clinical-summary", LONG, "prior-auth-extract"],
            values=[[(place * 7 + line * 31) % 101 for place in range(24)] for line in range(2)]
            + [[None] * 12 + [place * 5 for place in range(12)]],
        ),
        charts.Sankey(name="sankey", title="Where the money goes", unit=charts.USD, flows=flows,
                      hues={"clinical-summary": 0, LONG: 1}, looks={"Idle": "idle"}, size="tall"),
        charts.TimeLine(
            name="spans", title="Node claims", unit=charts.LENGTH, from_at=NOW - 6 * HOUR,
            to_at=NOW,
            spans=[
                charts.Span("on-demand-l40s-8fq2x", "Launched", NOW - 7 * HOUR, NOW - 5 * HOUR),
                charts.Span("on-demand-l40s-8fq2x", "Serving", NOW - 5 * HOUR, None, 2),
                charts.Span("spot-l4-22b7k", "Launched", NOW - 2 * HOUR, NOW - HOUR),
                charts.Span("spot-l4-22b7k", "Unobserved", NOW - HOUR, NOW - HOUR / 2, 0, "idle"),
            ],
        ),
        charts.LineChart(name="none", title="Power", unit=charts.counted("W"), at=minutes[:2],
                         series=[charts.Series("power", [None, None])]),
    ]  # fmt: skip
