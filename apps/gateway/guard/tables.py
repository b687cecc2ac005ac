"""The list of guard hits as a table. Declarations only."""

from django.urls import reverse

from apps.common.tables.columns import Column, Empty, Table
from apps.gateway.guard import words
from apps.gateway.guard.filters import HitFilters

HITS = Table(
    name="guard-hits",
    noun=("hit", "hits"),
    columns=(
        Column(
            "rule", "Rule", "rule", sort="rule", place="name",
            url=lambda hit: reverse("gateway:guard_hit_detail", args=[hit.pk]), css="nowrap",
        ),
        Column("at", "When", "at", kind="time", sort="at", css="nowrap"),
        Column("detector", "Kind", "detector", kind="mono", sort="detector", css="nowrap"),
        Column(
            "does", "Outcome", words.did_badge, kind="badge", sort="does", csv="does",
            place="figure", css="nowrap",
        ),
        Column("where", "Where", "where", kind="mono"),
        Column("count", "Times found", "count", kind="figure", sort="count"),
        Column("team", "Team", "team", sort="team", css="nowrap"),
        Column("model", "Model", "model", sort="model", css="nowrap"),
        Column(
            "mark", "Judged", words.mark_badge, kind="badge", sort="mark", csv="mark",
            unknown="not yet", css="nowrap",
        ),
        Column("call", "Call", "call", kind="mono", optional=True, at_first=False),
        Column(
            "phase", "Found in", lambda hit: words.PHASES[hit.phase], csv="phase", optional=True,
            at_first=False,
        ),
    ),
    search=("rule", "detector", "team", "model", "call__iexact"),
    search_words="Rule, kind, team, model or call",
    filters=HitFilters,
    most=100_000,
    order="-at",
    empty=Empty(
        "No hit yet",
        "A hit is kept for each rule that finds something in a prompt or an answer, without a word "
        "of the text.",
        icon="shield-check",
    ),
)  # fmt: skip
