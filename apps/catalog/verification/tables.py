"""The list of readings as a table. Declarations only."""

import django_filters

from apps.catalog.verification import pages
from apps.catalog.verification.models import Verification
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table


class VerificationFilters(Filters):
    """For the page of the registry, and for programs."""

    status = django_filters.ChoiceFilter(
        label="Result", choices=Verification.Status.choices, empty_label="Any result"
    )
    cause = django_filters.ChoiceFilter(
        label="Why", choices=Verification.Cause.choices, empty_label="Any reason"
    )


VERIFICATIONS = Table(
    name="verifications",
    noun=("reading", "readings"),
    columns=(
        Column("version", "Version", "version.name",
               sort=("version__registered_model__name", "version__number"),
               url=pages.version_url, place="name", css="nowrap"),
        Column("state", "Result", pages.badge, kind="badge", sort="status", csv="status",
               place="figure", css="nowrap"),
        Column("found", "Found", pages.found, css="wide"),
        Column("cause", "Why", "get_cause_display", sort="cause", csv="cause", css="nowrap"),
        Column("by", "Asked by", pages.who, optional=True, css="nowrap"),
        Column("bytes", "Bytes", "bytes_total", kind="figure", sort="bytes_total", optional=True),
        Column("asked", "Began", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column("finished", "Ended", "finished_at", kind="time", sort="finished_at",
               unknown="not yet", css="nowrap"),
    ),
    search=("version__registered_model__name",),
    search_words="Model",
    filters=VerificationFilters,
    order="-asked",
    empty=Empty(
        "Nothing has been read again yet",
        "Every byte of a version is read before it is used, and then again on schedule.",
        icon="file-check",
    ),
)  # fmt: skip
