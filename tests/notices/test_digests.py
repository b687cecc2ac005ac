"""The day's digest: what was not read, once a day, to each person."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apps.notices.digests import last_digest_at, make_digests
from apps.notices.letters import written
from apps.notices.models import Kind, Letter, Notice
from tests.factories import UserFactory
from tests.notices.samples import PORTAL, person, say

NEW_YORK = ZoneInfo("America/New_York")
SEVEN = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)  # 07:00 in New York
BEFORE = SEVEN - timedelta(hours=2)


class TestLastDigestAt:
    @pytest.mark.parametrize(
        ("now", "last"), [
            ("2026-11-03T12:00:00", "2026-11-03T12:00:00"),
            ("2026-11-03T11:59:59", "2026-11-02T12:00:00"),
            ("2026-11-01T13:00:00", "2026-11-01T12:00:00"),  # the clocks went back that night
            ("2026-11-01T11:30:00", "2026-10-31T11:00:00"),
            ("2026-03-08T11:30:00", "2026-03-08T11:00:00"),  # they went forward
        ]
    )  # fmt: skip
    def test_is_that_hour_on_the_clocks_of_the_zone(self, now, last):
        moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
        found = last_digest_at(moment, hour=7, zone=NEW_YORK)
        assert found == datetime.fromisoformat(last).replace(tzinfo=UTC)


def make(now=SEVEN):
    return make_digests(now=now, hour=7, zone=NEW_YORK)


@pytest.mark.django_db
class TestMakeDigests:
    def test_gathers_what_each_person_has_not_read(self):
        alice, bob = person("alice"), person("bob")
        told = {"kind": Kind.GRANT, "now": BEFORE}
        say(alice, bob, key="1", title="Access to extract ends", **told)
        say(alice, key="2", kind=Kind.BUDGET, title="The budget is 80 % used", now=BEFORE)
        say(alice, key="read", **told)
        Notice.objects.filter(key="read").update(read_at=BEFORE)
        say(alice, key="at once", kind=Kind.WAITS, now=BEFORE)
        say(alice, key="today", kind=Kind.GRANT, now=SEVEN)
        say(alice, key="old", kind=Kind.GRANT, now=SEVEN - timedelta(days=15))
        say(UserFactory(), key="no address", **told)
        assert make() == 2
        digests = Letter.objects.filter(is_digest=True)
        found = {one.user: {notice.key for notice in one.notices.all()} for one in digests}
        assert found == {alice: {"1", "2"}, bob: {"1"}}
        assert all(one.next_check_at == SEVEN for one in digests)

    def test_makes_none_twice(self):
        say(person("alice"), kind=Kind.GRANT, now=BEFORE)
        assert [make(), make(), make(SEVEN + timedelta(minutes=5))] == [1, 0, 0]

    def test_says_what_it_is_about_kind_by_kind(self):
        alice = person("alice")
        say(alice, key="1", kind=Kind.GRANT, title="Access to extract ends", now=BEFORE)
        say(alice, key="2", kind=Kind.BUDGET, title="The budget is spent", now=BEFORE)
        make()
        letter = Letter.objects.get()
        made = written(letter, list(letter.notices.all()), PORTAL)
        assert made.subject == "[Quartermaster production] 2 things to know"
        lines = [line.strip() for line in made.text.splitlines() if line.strip()]
        budget, grant = Notice.objects.get(key="2"), Notice.objects.get(key="1")
        assert lines == [
            "Budgets that run out",
            "The budget is spent",
            f"https://portal.meridian.test/notices/{budget.pk}/",
            "Access that ends",
            "Access to extract ends",
            f"https://portal.meridian.test/notices/{grant.pk}/",
            "--",
            "Choose what you are told by e-mail: https://portal.meridian.test/notices/choices/",
        ]
