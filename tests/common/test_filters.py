"""Filters of lists, in a list of the API that uses them. Each test makes the list anew: filters
are made once, where their list is read.
"""

from datetime import timedelta

import django_filters
import pytest
from django import forms
from rest_framework import serializers
from rest_framework.test import APIRequestFactory

from apps.audit.models import AuditEvent
from apps.common.filters import (
    Before,
    Filters,
    Since,
    SinceDay,
    UntilDay,
    WholeNumber,
    YesOrNo,
)
from apps.common.listing import Listing
from apps.common.pagination import Cursor
from tests.factories import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


class Output(serializers.Serializer):
    actor = serializers.CharField()
    of = serializers.SerializerMethodField()

    def get_of(self, event):
        return self.context.get("actors", 0)


class Pages(Cursor):
    ordering = ("-occurred_at", "-id")


def filters():
    """Return a set of one filter of each kind."""

    class Query(Filters):
        since = Since("occurred_at")
        before = Before("occurred_at")
        from_day = SinceDay("occurred_at", "From")
        to_day = UntilDay("occurred_at", "To")
        actor = django_filters.CharFilter()
        number = WholeNumber(field_name="target_id")
        by_maya = YesOrNo(method="of_maya")

        def of_maya(self, rows, name, is_wanted):
            return rows.filter(actor="maya") if is_wanted is True else rows.exclude(actor="maya")

    return Query


def listing():
    """Return a list of events that may be narrowed so."""

    class Events(Listing):
        authentication_classes = ()
        permission_classes = ()
        queryset = AuditEvent.objects.all()
        serializer_class = Output
        pagination_class = Pages
        filterset_class = filters()

        def get(self, request):
            return self.listed(AuditEvent.objects.exclude(actor="hidden"))

    return Events


@pytest.fixture(autouse=True)
def events(db):
    """Two people's events, an hour apart, and one that the caller may not see."""
    for actor, at in (("maya", NOW), ("liam", LATER), ("maya", LATER), ("hidden", NOW)):
        AuditEvent.objects.create(
            occurred_at=at, recorded_at=at, actor=actor, action="a", target_id="7"
        )


def ask(view=None, **query):
    return (view or listing()).as_view()(APIRequestFactory().get("/events", query))


def actors(**query):
    answer = ask(**query)
    assert answer.status_code == 200, answer.data
    return sorted(row["actor"] for row in answer.data["results"])


class TestSinceAndBefore:
    def test_hold_a_moment_in_the_first_and_out_of_the_second(self):
        at = LATER.isoformat()
        assert actors(since=at) == ["liam", "maya"]
        assert actors(before=at) == ["maya"]
        assert actors(since=NOW.isoformat()) == ["liam", "maya", "maya"]
        assert actors(before=(LATER + timedelta(seconds=1)).isoformat()) == ["liam", "maya", "maya"]
        assert actors(since=NOW.isoformat(), before=at) == ["maya"]

    def test_read_a_time_without_an_offset_as_utc_and_say_so(self):
        assert actors(since="2026-11-02T10:00:00") == ["liam", "maya"]
        said = [each("occurred_at").field.help_text for each in (Since, Before)]
        assert said == [
            "At this moment or later; UTC where no offset is given.",
            "Before this moment; UTC where no offset is given.",
        ]


class TestDays:
    """NOW is at nine on 2 November; an event of the third's first moment is beside it."""

    @pytest.fixture(autouse=True)
    def _midnight(self, events):
        third = NOW.replace(day=3, hour=0)
        for actor, at in (("noor", third), ("omar", third - timedelta(microseconds=1))):
            AuditEvent.objects.create(
                occurred_at=at, recorded_at=at, actor=actor, action="a", target_id="7"
            )

    def test_hold_the_whole_of_both_days(self):
        second = ["liam", "maya", "maya", "omar"]
        assert actors(from_day="2026-11-02", to_day="2026-11-02") == second
        assert actors(from_day="2026-11-03") == ["noor"]
        assert actors(to_day="2026-11-02") == second
        assert actors(to_day="2026-11-01") == []
        assert actors(from_day="", to_day="") == [*second[:3], "noor", "omar"]

    def test_are_chosen_in_a_field_for_days_that_names_the_zone(self):
        fields = filters()(queryset=AuditEvent.objects.all()).form.fields
        assert [fields[name].label for name in ("from_day", "to_day")] == ["From (UTC)", "To (UTC)"]
        for name in ("from_day", "to_day"):
            assert isinstance(fields[name].widget, forms.DateInput)
            assert fields[name].widget.input_type == "date"

    @pytest.mark.parametrize("name", ["from_day", "to_day"])
    def test_are_days_that_another_one_follows(self, name):
        assert ask(**{name: "9999-12-30"}).status_code == 200
        for odd in ("9999-12-31", "2026-02-30", "today"):
            assert ask(**{name: odd}).status_code == 400


class TestYesOrNo:
    def test_is_true_or_false(self):
        assert actors(by_maya="true") == ["maya", "maya"]
        assert actors(by_maya="false") == ["liam"]
        assert YesOrNo().field.help_text == "true or false."

    @pytest.mark.parametrize("odd", ["True", "1", "yes", "no"])
    def test_is_nothing_else(self, odd):
        assert ask(by_maya=odd).status_code == 400


class TestWholeNumber:
    def test_refuses_a_part_of_one(self):
        assert len(actors(number="7")) == 3
        assert actors(number="8") == []
        assert ask(number="7.5").status_code == 400
