"""Forgetting what people were told long ago."""

from datetime import timedelta

import pytest

from apps.notices.models import Call, Letter, Notice
from apps.notices.retention import forget_notices
from tests.factories import NOW
from tests.notices.samples import person, say, webhook
from worker.tasks.notices import forget_notices as task

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def people():
    alice, bob = person("alice"), person("bob")
    webhook(alice)
    say(alice, bob, key="old:1", now=NOW, urgent=True)
    say(alice, key="old:2", now=NOW + DAY, urgent=True)
    say(alice, bob, key="young:1", now=NOW + 9 * DAY, urgent=True)
    return alice, bob


def test_takes_the_old_with_their_letters_and_calls_and_leaves_the_young(people):
    assert forget_notices(before=NOW + 9 * DAY, most=100) == 3
    assert set(Notice.objects.values_list("key", flat=True)) == {"young:1"}
    assert (Notice.objects.count(), Letter.objects.count(), Call.objects.count()) == (2, 2, 1)
    assert forget_notices(before=NOW + 9 * DAY, most=100) == 0


def test_takes_so_many_at_once_the_oldest_first(people):
    assert [forget_notices(before=NOW + 9 * DAY, most=2) for _ in range(3)] == [2, 1, 0]


def test_keeps_a_letter_that_carries_something_else_too(people):
    alice, _ = people
    digest = Letter.objects.create(user=alice, is_digest=True, created_at=NOW)
    Notice.objects.filter(user=alice).update(letter=digest)
    forget_notices(before=NOW + 9 * DAY, most=100)
    assert list(digest.notices.values_list("key", flat=True)) == ["young:1"]


def test_goes_by_the_days_that_are_set(people, settings):
    settings.NOTICE_DAYS = 30_000
    task()
    assert Notice.objects.count() == 5
    Notice.objects.filter(key="old:1").update(read_at=NOW)
    settings.NOTICE_DAYS = 0
    task()
    assert Notice.objects.count() == 0
