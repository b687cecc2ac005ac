"""Filters of lists, in a list of the API that uses them."""

from datetime import timedelta

import django_filters
import pytest
from rest_framework import serializers
from rest_framework.test import APIRequestFactory

from apps.audit.models import AuditEvent
from apps.common.filters import Before, Filters, Since, WholeNumber, YesOrNo
from apps.common.listing import Listing
from apps.common.pagination import Cursor
from tests.factories import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


class Query(Filters):
    since = Since("occurred_at")
    before = Before("occurred_at")
    actor = django_filters.CharFilter()
    number = WholeNumber(field_name="target_id")
    by_maya = YesOrNo(method="of_maya")

    def of_maya(self, rows, name, is_wanted):
        return rows.filter(actor="maya") if is_wanted is True else rows.exclude(actor="maya")


class Output(serializers.Serializer):
    actor = serializers.CharField()
    of = serializers.SerializerMethodField()

    def get_of(self, event):
        return self.context.get("actors", 0)


class Pages(Cursor):
    ordering = ("-occurred_at", "-id")


class Events(Listing):
    authentication_classes = ()
    permission_classes = ()
    queryset = AuditEvent.objects.all()
    serializer_class = Output
    pagination_class = Pages
    filterset_class = Query

    def get(self, request):
        return self.listed(AuditEvent.objects.exclude(actor="hidden"))


class Counted(Events):
    def context_of(self, page):
        return {"actors": len({event.actor for event in page})}


@pytest.fixture(autouse=True)
def events(db):
    """Two people's events, an hour apart, and one that the caller may not see."""
    for actor, at in (("maya", NOW), ("liam", LATER), ("maya", LATER), ("hidden", NOW)):
        AuditEvent.objects.create(occurred_at=at, actor=actor, action="a", target_id="7")


def ask(view=Events, **query):
    return view.as_view()(APIRequestFactory().get("/events", query))


def actors(**query):
    answer = ask(**query)
    assert answer.status_code == 200, answer.data
    return sorted(row["actor"] for row in answer.data["results"])


class TestSinceAndBefore:
    def test_hold_a_moment_in_the_first_and_out_of_the_second(self):
        at = LATER.isoformat()
        assert actors(since=at) == ["liam", "maya"]
        assert actors(before=at) == ["maya"]
        assert actors(since=NOW.isoformat(), before=at) == ["maya"]

    def test_read_a_time_without_an_offset_as_utc_and_say_so(self):
        assert actors(since="2026-11-02T10:00:00") == ["liam", "maya"]
        for name, words in (("since", "At this moment or later"), ("before", "Before this moment")):
            shown = Query.base_filters[name].field.help_text
            assert shown == f"{words}; UTC where no offset is given."


class TestYesOrNo:
    def test_is_true_or_false(self):
        assert actors(by_maya="true") == ["maya", "maya"]
        assert actors(by_maya="false") == ["liam"]
        assert Query.base_filters["by_maya"].field.help_text == "true or false."

    @pytest.mark.parametrize("odd", ["True", "1", "yes", "no"])
    def test_is_nothing_else(self, odd):
        assert ask(by_maya=odd).status_code == 400


class TestWholeNumber:
    def test_refuses_a_part_of_one(self):
        assert len(actors(number="7")) == 3
        assert actors(number="8") == []
        assert ask(number="7.5").status_code == 400
