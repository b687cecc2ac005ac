"""What is told of roles that are looked at again: together, to those who look at others'."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.accounts.recertification.actions import keep_role
from apps.accounts.recertification.models import RoleReview
from apps.notices.models import Kind, Notice
from apps.oversight.roles.telling import tell
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PATH = "/audit/roles/?status=PENDING"


def person(name, *roles):
    return UserFactory(username=name, with_roles=roles)


def look(who, role, *, asked=NOW, due=14):
    return RoleReview.objects.create(
        requested_by=who, role=role, requested_at=asked, due_at=NOW + due * DAY
    )


def told():
    rows = Notice.objects.unread().order_by("title", "user__username")
    return [(row.user.username, row.title, row.is_urgent) for row in rows]


def test_is_one_notice_for_all_that_were_asked_for_on_a_day(carol):
    fiona, aisha = person("fiona", Role.FINANCE, Role.REVIEWER), person("aisha", Role.AUDITOR)
    pete = person("pete", Role.PLATFORM_ENGINEER)
    looks = [look(fiona, Role.FINANCE), look(fiona, Role.REVIEWER, due=3)]
    own = look(aisha, Role.AUDITOR, asked=NOW + DAY)
    title, other = "Look again at 2 roles by 5 Nov 2026", "Look again at 1 role by 16 Nov 2026"
    assert [tell(now=NOW), tell(now=NOW)] == [3, 0]
    assert told() == [("pete", other, False), ("aisha", title, False), ("pete", title, False)]
    assert set(Notice.objects.values_list("kind", "path")) == {(Kind.REVIEW, PATH)}
    for one in looks:
        keep_role(review=one, approver=pete, reason="Needed.", now=NOW)
    tell(now=NOW + DAY)
    assert told() == [("pete", other, False)] and own.status == "PENDING"


def test_is_urgent_once_a_look_is_overdue():
    fiona, aisha = person("fiona", Role.FINANCE), person("aisha", Role.AUDITOR)
    look(fiona, Role.FINANCE, due=2)
    look(aisha, Role.AUDITOR, due=40)
    tell(now=NOW + 2 * DAY)
    assert ("aisha", "Overdue since 4 Nov 2026: a look at 1 role", True) in told()
    assert tell(now=NOW + 9 * DAY) == 0
