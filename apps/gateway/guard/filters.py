"""What lists of guard hits and of changes of guard rules are narrowed by."""

import django_filters

from apps.common.filters import Before, Filters, Since, SinceDay, UntilDay
from apps.gateway.guard.models import GuardHit, GuardHitQuerySet, GuardrailChange
from apps.gateway.guard.words import DID, PHASES


class HitFilters(Filters):
    """For the page of hits."""

    phase = django_filters.ChoiceFilter(
        label="Found in", choices=list(PHASES.items()), empty_label="Prompts and answers"
    )
    does = django_filters.ChoiceFilter(
        label="Outcome",
        choices=[(key, badge.words) for key, badge in DID.items()],
        empty_label="Any outcome",
    )
    mark = django_filters.ChoiceFilter(
        label="Judged",
        choices=[("none", "Not judged"), *GuardHit.Mark.choices],
        empty_label="Judged or not",
        method="by_mark",
    )
    rule = django_filters.CharFilter(label="Rule")
    since = SinceDay("at", "From")
    until = UntilDay("at", "To")

    def by_mark(self, rows: GuardHitQuerySet, name: str, value: str) -> GuardHitQuerySet:
        """Return the hits that people said this of, or that nobody judged."""
        return rows.filter(mark="" if value == "none" else value)


class HitQuery(Filters):
    """For programs: hits of a rule, a detector, a team, a model, a call."""

    phase = django_filters.ChoiceFilter(choices=list(PHASES.items()))
    does = django_filters.ChoiceFilter(choices=[(key, key) for key in DID])
    mark = django_filters.ChoiceFilter(choices=GuardHit.Mark.choices)
    rule = django_filters.CharFilter()
    detector = django_filters.CharFilter()
    team = django_filters.CharFilter()
    model = django_filters.CharFilter()
    call = django_filters.UUIDFilter()
    at_since = Since("at")
    at_before = Before("at")


class ChangeQuery(Filters):
    """For programs: changes by state, by whom, from when."""

    status = django_filters.ChoiceFilter(choices=GuardrailChange.Status.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
