"""One worker at a time, and when to look again, with a second row that must stay as it is."""

from datetime import timedelta

import pytest

from apps.catalog.models import ModelVersion
from apps.common.leases import change_from, reschedule, retry_at, take_lease
from tests.factories import NOW, ModelVersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def row():
    return ModelVersionFactory(next_check_at=NOW, attempts=2)


@pytest.fixture(autouse=True)
def other(row):
    made = ModelVersionFactory(next_check_at=NOW, attempts=2)
    yield made
    made.refresh_from_db()
    assert (made.next_check_at, made.attempts) == (NOW, 2)


class TestTakeLease:
    def test_is_for_one_and_for_as_long_as_the_lease(self, row, settings):
        settings.RECONCILE_LEASE_SECONDS = 90
        same = ModelVersion.objects.get(pk=row.pk)
        assert take_lease(row, now=NOW) is True
        assert (row.next_check_at, row.attempts) == (NOW + timedelta(seconds=90), 3)
        assert take_lease(same, now=NOW) is False
        assert take_lease(same, now=NOW + timedelta(seconds=89)) is False
        assert take_lease(same, now=NOW + timedelta(seconds=90)) is True

    def test_takes_nothing_that_is_not_due(self, row):
        ModelVersion.objects.filter(pk=row.pk).update(next_check_at=None)
        assert take_lease(row, now=NOW) is False


class TestChangeFrom:
    def test_changes_one_row_that_is_where_it_should_be(self, row):
        ModelVersion.objects.filter(pk=row.pk).update(generation=4)
        seen = ModelVersion.objects.get(pk=row.pk)
        statuses = ("SIGNING", seen.status)
        assert change_from(seen, statuses, now=NOW, status="QUARANTINED", message="Why.") is True
        assert (seen.status, seen.message) == ("QUARANTINED", "Why.")
        assert (seen.observed_at, seen.observed_generation) == (NOW, 4)

    def test_leaves_a_row_that_went_on_meanwhile(self, row):
        seen = ModelVersion.objects.get(pk=row.pk)
        ModelVersion.objects.filter(pk=row.pk).update(status="QUARANTINED")
        assert change_from(seen, [seen.status], now=NOW, message="Why.") is False
        stored = ModelVersion.objects.get(pk=row.pk)
        assert (stored.status, stored.message, stored.observed_at) == ("QUARANTINED", "", None)


class TestRetryAt:
    @pytest.mark.parametrize(
        ("attempts", "seconds"), [(0, 2), (1, 4), (7, 256), (8, 300), (10_000, 300)]
    )
    def test_doubles_up_to_five_minutes(self, row, attempts, seconds):
        row.attempts = attempts
        assert retry_at(row, now=NOW) == NOW + timedelta(seconds=seconds)

    @pytest.mark.parametrize(("wished", "seconds"), [(0, 0), (7, 7), (300, 300), (301, 300)])
    def test_is_when_the_vendor_wishes_within_five_minutes(self, row, wished, seconds):
        assert retry_at(row, now=NOW, retry_after=wished) == NOW + timedelta(seconds=seconds)


class TestReschedule:
    def test_leaves_a_row_due_that_was_changed_meanwhile(self, row):
        later = NOW + timedelta(hours=1)
        reschedule(row, at=later)
        assert ModelVersion.objects.get(pk=row.pk).next_check_at == later
        ModelVersion.objects.filter(pk=row.pk).update(generation=5)
        reschedule(row, at=None)
        assert ModelVersion.objects.get(pk=row.pk).next_check_at == later
