"""The evidence packs as a table. Declarations only."""

import django_filters

from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.oversight.evidence.badges import badge
from apps.oversight.evidence.models import EvidencePack


class PackFilters(Filters):
    """What the packs are narrowed by."""

    kind = django_filters.ChoiceFilter(
        label="About", choices=EvidencePack.Kind.choices, empty_label="Anything"
    )
    status = django_filters.ChoiceFilter(
        label="State", choices=EvidencePack.Status.choices, empty_label="Any state"
    )


PACKS = Table(
    name="packs",
    noun=("evidence pack", "evidence packs"),
    columns=(
        Column("about", "About", "label", place="name", url=EvidencePack.get_absolute_url,
               csv_head="about", css="nowrap"),
        Column("kind", "Kind", "get_kind_display", csv="kind", csv_head="kind"),
        Column("state", "State", badge, kind="badge", sort="status", csv="status",
               csv_head="state", place="figure"),
        Column("asked", "Asked for", "asked_at", kind="time", sort="asked_at",
               csv_head="asked_at", css="nowrap"),
        Column("by", "By", "asked_by", csv="asked_by.username", csv_head="asked_by",
               css="nowrap"),
        Column("made", "Made", "made_at", kind="time", sort="made_at", csv_head="made_at",
               unknown="not yet", css="nowrap"),
        Column("entries", "Record up to entry", "checkpoint_size", kind="figure",
               csv_head="entries", unknown="not known yet", optional=True, at_first=False),
        Column("size", "Bytes", "size_bytes", kind="figure", csv_head="bytes",
               unknown="not known yet", optional=True, at_first=False),
        Column("digest", "SHA-256", lambda pack: pack.sha256 or None, kind="mono",
               csv_head="sha256", optional=True, at_first=False, unknown="not known yet"),
    ),
    filters=PackFilters,
    order="-asked",
    empty=Empty("Nobody took evidence away yet",
                "Ask for a promotion's or a month's, and a worker puts it together.",
                icon="file-check"),
)  # fmt: skip
