"""Requests for erasure as a table. Declarations only."""

import django_filters
from django.urls import reverse

from apps.common.badges import Badge
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.prompts.erasures.forms import KINDS
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.words import ERASED, decided_badge


def badge_of(item: ErasureRequest) -> Badge:
    """Return what became of a request."""
    return decided_badge(item.status, approved=ERASED)


def _whose(item: ErasureRequest) -> str:
    return f"{item.get_kind_display()} {item.token[:8]}"


def _receipt(item: ErasureRequest) -> str | None:
    return "Download" if item.receipt else None


def _receipt_url(item: ErasureRequest) -> str:
    return reverse("prompts:erasure_receipt", args=[item.pk])


class ErasureFilters(Filters):
    """What the list is narrowed by."""

    kind = django_filters.ChoiceFilter(label="Whose", choices=KINDS, empty_label="Anybody’s")
    status = django_filters.ChoiceFilter(
        label="State", choices=ErasureRequest.Status.choices, empty_label="Any state"
    )


ERASURES = Table(
    name="erasures",
    noun=("request", "requests"),
    columns=(
        Column("whose", "Whose", _whose, sort=("kind", "token"),
               url=ErasureRequest.get_absolute_url, place="name"),
        Column("state", "State", badge_of, kind="badge", sort="status", place="figure"),
        Column("asked_by", "Asked by", "requested_by.name", sort="requested_by__name"),
        Column("asked", "Asked", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column("receipt", "Receipt", _receipt, url=_receipt_url, csv="receipt_digest",
               csv_head="receipt_digest", unknown="none"),
    ),
    search=("token__istartswith", "requested_by__name"),
    search_words="Token, or who asked",
    filters=ErasureFilters,
    order="-asked",
    empty=Empty("Nobody has asked for one", icon="lock"),
)  # fmt: skip
