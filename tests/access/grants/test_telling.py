"""Who is told of grants that end, and of those to look at again: how early, and how often."""

from datetime import timedelta

import pytest

from apps.access import actions
from apps.access.grants.telling import days_told, tell_ends, tell_looks
from apps.access.models import Grant
from apps.access.recertification.actions import keep_grant
from apps.access.work import Use
from apps.accounts.models import Role
from apps.common.periods import DAY
from apps.notices.models import Notice
from tests.access.test_actions import WISH, granted, request_, waiting  # noqa: F401
from tests.factories import NOW, UserFactory

ENDS = WISH.expires_date  # 31 Dec 2026, 60 days from now
END = NOW.replace(month=12, day=31, hour=0) + DAY


@pytest.fixture
def grants(request_, waiting, alice):  # noqa: F811
    """Two grants of charlie's team and one of another, all to the end of the year."""
    return [granted(each, alice) for each in (request_, *waiting)]


def told():
    """Return what people were told since it was asked last, by key's last part."""
    found = list(Notice.objects.filter(read_at=None).order_by("told_at", "key"))
    Notice.objects.update(read_at=NOW)
    return found


class TestTellEnds:
    def test_tells_the_lead_of_the_team_30_7_and_1_days_before_once_each(self, grants, charlie):
        developer = UserFactory(team=charlie.team, with_roles=[Role.DEVELOPER])
        assert tell_ends(now=END - 30 * DAY - timedelta(seconds=1)) == 0
        for days in (30, 7, 1):
            at = END - days * DAY
            assert tell_ends(now=at) == len(grants), days
            assert tell_ends(now=at + timedelta(hours=3)) == 0
            found = [notice for notice in told() if notice.user == charlie]
            assert {notice.path for notice in found} == {
                f"/access/grants/{grant.pk}/" for grant in grants if grant.team == charlie.team
            }
            assert {notice.is_urgent for notice in found} == {days == 1}
            assert {notice.kind for notice in found} == {"GRANT"}
        assert not Notice.objects.filter(user=developer).exists()
        words = "Access of claims-review to prior-auth-extract ends on 31 Dec 2026: renew it"
        assert any(notice.title.startswith(words) for notice in found)

    def test_tells_late_what_it_missed_but_not_all_of_it(self, grants):
        assert tell_ends(now=END - 5 * DAY) == len(grants)
        assert tell_ends(now=END + DAY) == 0, "it has ended"

    def test_tells_the_owner_instead_where_a_renewal_waits(self, grants, charlie, alice, bob):
        mine = grants[0]
        actions.submit_request(
            model=mine.registered_model, wish=WISH, requester=charlie, now=NOW, renews=mine
        )
        tell_ends(now=END - 7 * DAY)
        about = [notice for notice in told() if "renewal waits" in notice.title]
        assert {notice.user for notice in about} == {alice, bob}
        assert {notice.path for notice in about} == {mine.renewals.get().get_absolute_url()}

    def test_takes_away_what_a_renewal_settled(self, grants, charlie, alice):
        tell_ends(now=END - 30 * DAY)
        mine = grants[0]
        renewal = actions.submit_request(
            model=mine.registered_model, wish=WISH, requester=charlie, now=NOW, renews=mine
        )
        tell_ends(now=END - 29 * DAY)
        unread = Notice.objects.unread()
        assert not unread.filter(path=f"/access/grants/{mine.pk}/").exists()
        assert unread.get(path=renewal.get_absolute_url()).user == alice
        assert unread.filter(path=f"/access/grants/{grants[1].pk}/").exists()

    def test_tells_no_owner_who_asked_themselves(self, registered_model, alice, bob):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=bob, now=NOW)
        grant = granted(own, alice)
        actions.submit_request(
            model=registered_model, wish=WISH, requester=bob, now=NOW, renews=grant
        )
        tell_ends(now=END - 7 * DAY)
        assert {notice.user for notice in told()} == {alice}

    def test_tells_nothing_of_what_somebody_ended(self, grants, alice):
        for grant in grants:
            actions.revoke_grant(grant=grant, actor=alice, reason="No more.", now=NOW)
        assert tell_ends(now=END - DAY) == 0

    @pytest.mark.parametrize(("length", "left", "days"), [
        (60, 31, None), (60, 30, 30), (60, 8, 30), (60, 7, 7), (60, 2, 7), (60, 1, 1),
        (30, 30, None), (30, 8, None), (30, 7, 7), (7, 7, None), (7, 1, 1), (1, 1, None),
    ])  # fmt: skip
    def test_is_as_early_as_the_grant_is_long(self, length, left, days):
        grant = Grant(active_from=NOW, active_to=NOW + length * DAY)
        assert days_told(grant, grant.active_to - left * DAY) == days


class TestTellLooks:
    def test_tells_the_owners_when_it_is_due_and_when_it_is_late(self, grants, alice, bob):
        period = 40 * DAY
        assert tell_looks(period=period, now=NOW + 26 * DAY - timedelta(seconds=1)) == 0
        assert tell_looks(period=period, now=NOW + 26 * DAY) == 2 * len(grants)
        assert tell_looks(period=period, now=NOW + 39 * DAY) == 0
        found = told()
        assert {notice.user for notice in found} == {alice, bob}
        assert {(notice.kind, notice.is_urgent) for notice in found} == {("REVIEW", False)}
        assert ": due by 12 Dec 2026" in found[0].title
        assert tell_looks(period=period, now=NOW + 40 * DAY) == 2 * len(grants)
        late = told()
        assert {notice.is_urgent for notice in late} == {True}
        assert ": overdue since 12 Dec 2026" in late[0].title

    def test_takes_away_what_somebody_kept(self, grants, alice):
        period, at = 40 * DAY, NOW + 40 * DAY
        tell_looks(period=period, now=at)
        use = Use(NOW, at, 0, 0, 0, 0, 0, 0, None, "")
        keep_grant(grant=grants[0], owner=alice, reason="Used.", period=period, use=use, now=at)
        tell_looks(period=period, now=at + DAY)
        left = set(Notice.objects.unread().values_list("path", flat=True))
        assert left == {f"/access/grants/{grant.pk}/" for grant in grants[1:]}

    def test_tells_no_owner_of_what_they_asked_for(self, registered_model, alice, bob):
        own = actions.submit_request(model=registered_model, wish=WISH, requester=bob, now=NOW)
        granted(own, alice)
        tell_looks(period=40 * DAY, now=NOW + 40 * DAY)
        assert {notice.user for notice in told()} == {alice}
