"""The list of incidents as a table. Declarations only."""

from django.urls import reverse

from apps.common.tables.columns import Column, Empty, Table
from apps.incidents import pages
from apps.incidents.filters import EpisodeFilters

EPISODES = Table(
    name="incidents",
    noun=("incident", "incidents"),
    columns=(
        Column(
            "version", "Version", pages.version,
            sort=("model_version__registered_model__name", "model_version__number"),
            url=lambda episode: reverse("incidents:episode_detail", args=[episode.pk]),
            place="name",
        ),
        Column("kind", "What", "get_kind_display", sort="kind", csv="kind", css="nowrap"),
        Column(
            "state", "State", pages.badge, kind="badge", sort="status", csv="status",
            place="figure", css="nowrap",
        ),
        Column("words", "Details", "words", css="wide"),
        Column(
            "servicenow", "ServiceNow", lambda episode: episode.number or None, sort="number",
            unknown="none", css="nowrap",
        ),
        Column("opened", "Began", "opened_at", kind="time", sort="opened_at", css="nowrap"),
        Column(
            "closed", "Ended", "closed_at", kind="time", sort="closed_at", unknown="not yet",
            css="nowrap",
        ),
        Column("id", "Id", "pk", kind="mono", optional=True, at_first=False),
    ),
    search=("model_version__registered_model__name", "number__iexact", "version_name__iexact"),
    search_words="Model, version or number",
    filters=EpisodeFilters,
    order="-opened",
    empty=Empty(
        "No incident yet",
        "One begins when what serves is not what was approved, when a rollout fails, when a "
        "version turns out to be something else, when the guard blocks calls of a model, when an "
        "error budget burns too fast, or when a version has no room for its callers.",
        icon="triangle-alert",
    ),
)  # fmt: skip
