"""Telling of what the rows say: once, to whoever it concerns, and no longer than it holds."""

from types import SimpleNamespace

import pytest

from apps.notices.models import Kind, Notice
from apps.notices.news import News, outcomes, tell_news, tell_waiting
from tests.factories import NOW
from tests.notices.samples import LATER, person

pytestmark = pytest.mark.django_db


def news(key, *people, **more):
    asked = {"kind": Kind.WAITS, "title": f"Title of {key}", "path": "/x/"} | more
    return News(key=key, people=lambda: list(people), **asked)


class TestTellNews:
    def test_tells_each_thing_once(self, django_assert_num_queries):
        alice, bob = person("alice"), person("bob")
        found = [news("a:1", alice, bob), news("a:2", bob, urgent=True)]
        assert tell_news(found, now=NOW) == 3
        with django_assert_num_queries(1):
            assert tell_news(found, now=LATER) == 0
        assert tell_news([], now=LATER) == 0
        told = Notice.objects.order_by("key", "user__username")
        assert [(one.key, one.user, one.is_urgent) for one in told] == [
            ("a:1", alice, False), ("a:1", bob, False), ("a:2", bob, True)
        ]  # fmt: skip

    def test_asks_for_people_only_where_nobody_knows_it(self):
        alice = person("alice")
        tell_news([news("a:1", alice)], now=NOW)

        def nobody():
            raise AssertionError("asked again")

        again = News(key="a:1", kind=Kind.WAITS, title="T", path="/x/", people=nobody)
        assert tell_news([again], now=LATER) == 0


class TestTellWaiting:
    def test_takes_away_what_waits_no_longer_and_nothing_else(self):
        alice, bob = person("alice"), person("bob")
        tell_waiting("a", [news("a:1", alice, bob), news("a:2", alice)], now=NOW)
        tell_waiting("ab", [news("ab:1", alice)], now=NOW)
        Notice.objects.filter(key="a:1", user=bob).update(read_at=NOW)
        tell_waiting("a", [news("a:2", alice)], now=LATER)
        read = Notice.objects.order_by("key", "user__username").values_list("key", "read_at")
        assert list(read) == [("a:1", LATER), ("a:1", NOW), ("a:2", None), ("ab:1", None)]
        tell_waiting("a", [], now=LATER)
        assert Notice.objects.unread().get().key == "ab:1"


class TestOutcomes:
    def test_are_told_to_whoever_asked(self):
        alice = person("alice")
        row = SimpleNamespace(
            pk=7, status="REJECTED", requested_by=alice, get_status_display=lambda: "Rejected"
        )
        nobodys = SimpleNamespace(pk=8, status="REJECTED", requested_by=None)
        (found,) = outcomes(
            "a", [row, nobodys], title=lambda _: "Your request", path=lambda row: f"/a/{row.pk}/"
        )
        assert (found.key, found.title, found.path) == (
            "a-outcome:7:REJECTED", "Your request: rejected", "/a/7/"
        )  # fmt: skip
        assert found.people() == [alice]
