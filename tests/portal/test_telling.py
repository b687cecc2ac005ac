"""Who is told is who finds it on their home page: the same rules, asked from both ends."""

import pytest
from django.utils import timezone

from apps.notices.models import Kind, Letter, Notice
from portal.needs.queries import needs_of
from worker.tasks.notices import TELLERS

pytestmark = pytest.mark.django_db


def tell():
    return sum(tell(now=timezone.now()) for tell in TELLERS.values())


def test_whoever_decides_is_told_of_everything_that_waits_for_them(world):
    Notice.objects.update(read_at=timezone.now())
    assert tell() > 0
    kinds = 0
    for person in world.people.values():
        waits = {(need.title, need.url) for need in needs_of(person, timezone.now())
                 if need.tone == "busy"}  # fmt: skip
        told = Notice.objects.of(person).unread().filter(kind=Kind.WAITS)
        assert set(told.values_list("title", "path")) == waits, person
        kinds = max(kinds, len(waits))
    assert kinds > 3


def test_nothing_is_told_twice(world):
    tell()
    notices, letters = Notice.objects.count(), Letter.objects.count()
    assert tell() == 0
    assert (Notice.objects.count(), Letter.objects.count()) == (notices, letters)


def test_what_people_typed_is_in_no_notice(world):
    tell()
    titles = " ".join(Notice.objects.values_list("title", flat=True))
    for typed in ("Packets", "Fits", "because", "Because"):
        assert typed not in titles
