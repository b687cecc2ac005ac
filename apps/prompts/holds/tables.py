"""Legal holds as a table. Declarations only."""

import django_filters
from django.db.models import QuerySet

from apps.common.badges import Badge
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.prompts.holds.models import LegalHold, Scope
from apps.prompts.words import LIFTED, STANDS


def badge_of(hold: LegalHold) -> Badge:
    """Return whether a hold stands."""
    return LIFTED if hold.lifted_at else STANDS


class HoldFilters(Filters):
    """What the list is narrowed by."""

    scope = django_filters.ChoiceFilter(
        label="Covers", choices=Scope.choices, empty_label="Anything"
    )
    state = django_filters.ChoiceFilter(
        label="State",
        choices=(("stands", "Stands"), ("lifted", "Lifted")),
        empty_label="Any state",
        method="by_state",
    )

    def by_state(self, rows: QuerySet[LegalHold], name: str, state: str) -> QuerySet[LegalHold]:
        """Keep the holds that stand, or that are lifted."""
        return rows.filter(lifted_at__isnull=state == "stands")


HOLDS = Table(
    name="legal-holds",
    noun=("hold", "holds"),
    columns=(
        Column("covers", "Covers", sort=("scope", "value"), url=LegalHold.get_absolute_url,
               place="name"),
        Column("state", "State", badge_of, kind="badge", place="figure"),
        Column("matter", "Matter", sort="matter"),
        Column("placed_by", "Placed by", "placed_by.name", sort="placed_by__name"),
        Column("placed", "Placed", "placed_at", kind="time", sort="placed_at", css="nowrap"),
        Column("lifted", "Lifted", "lifted_at", kind="time", sort="lifted_at", unknown="stands",
               css="nowrap", optional=True, at_first=False),
    ),
    search=("matter", "value__istartswith"),
    search_words="Matter, team or call",
    filters=HoldFilters,
    order="-placed",
    empty=Empty("No hold was ever placed", icon="lock"),
)  # fmt: skip
