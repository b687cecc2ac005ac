"""What is told of the cloud's bills."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.chargeback.bills.models import BillFeed
from apps.chargeback.telling import tell
from apps.notices.models import Notice
from tests.chargeback.bills.made import bill, bought, keeps
from tests.chargeback.closing.test_actions import (  # noqa: F401 (a fixture)
    AFTER,
    END,
    NOVEMBER,
    OCTOBER,
    START,
    ask,
    close,
    kept_october,
    october,
)
from tests.chargeback.pricing import finance
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def keep(tmp_path):
    return keeps(tmp_path, END + 12 * HOUR)


@pytest.fixture(autouse=True)
def people():
    finance("fiona")
    UserFactory(username="paula", with_roles=[Role.PLATFORM_ENGINEER])
    UserFactory(username="audrey", with_roles=[Role.AUDITOR])


def told(now=AFTER, about="bill"):
    tell(now=now)
    rows = Notice.objects.unread().filter(key__startswith=about).order_by("title", "user__username")
    return [(one.user.username, one.title, one.path) for one in rows]


def refuse(month, reason="DAMAGED", message="A file is damaged.", **more):
    return BillFeed.objects.create(
        source="s3://bills/cur2", month=month, reason=reason, message=message, **more
    )


class TestRefused:
    PATH = "/chargeback/reconciliation/bill/?month=2026-10"
    TITLE = "The bill of October 2026 cannot be read"

    def test_is_told_once_to_those_who_can_mend_it_and_for_each_delivery(self):
        feed = refuse(OCTOBER)
        both = [("fiona", self.TITLE, self.PATH), ("paula", self.TITLE, self.PATH)]
        assert told() == told(AFTER + HOUR) == both
        BillFeed.objects.filter(pk=feed.pk).update(generation=feed.generation + 1)
        assert told(AFTER + 2 * HOUR) == both
        assert Notice.objects.count() == 4

    def test_is_no_news_any_more_once_it_is_read(self):
        feed = refuse(OCTOBER)
        other = refuse(NOVEMBER)
        assert len(told()) == 4
        BillFeed.objects.filter(pk=feed.pk).update(reason="", message="")
        assert {title for _, title, _ in told()} == {f"The {other} cannot be read"}

    def test_is_not_told_of_looking_or_while_s3_is_away_for_a_moment(self):
        refuse(None, "NOTHING_THERE", "No manifest lies there.")
        feed = refuse(OCTOBER, "S3", "S3 is away. Trying again by itself.", attempts=9)
        assert told() == []
        BillFeed.objects.filter(pk=feed.pk).update(attempts=10)
        assert len(told()) == 2


@pytest.mark.usefixtures("october")
class TestRestated:
    def deliver(self, keep, usd, execution_id, now, month=OCTOBER):
        hours = (START - bought().begins_at) / HOUR
        made = bought("i-1", hours, hours + 2, usd=usd)
        return keep(
            bill(made, month=month, until=END, is_final=True), execution_id=execution_id, now=now
        )

    def test_is_told_once_to_those_who_close_months(self, keep):
        self.deliver(keep, "4", "one", END + HOUR)
        close(ask(by="asks", reasons={"BILL": "As agreed."}), by="closes")
        assert told(about="bill-restated") == []
        later = AFTER + HOUR
        self.deliver(keep, "5", "two", later)
        title = "The bill of October 2026 was restated after its month was closed"
        found = told(later, "bill-restated")
        assert {(name, words) for name, words, _ in found} == {
            (name, title) for name in ("asks", "closes", "fiona", "proposer", "publisher")
        }
        assert {path for *_, path in found} == {"/chargeback/reconciliation/bill/?month=2026-10"}
        assert told(later + HOUR, "bill-restated") == found

    def test_is_not_told_of_a_month_that_is_open_or_was_closed_without_one(self, keep):
        self.deliver(keep, "4", "one", END + HOUR)
        self.deliver(keep, "5", "two", END + 2 * HOUR)
        assert told(END + 3 * HOUR, "bill-restated") == []

    def test_is_not_told_where_the_first_one_came_after_the_close(self, keep):
        close(ask())
        self.deliver(keep, "4", "one", AFTER + HOUR)
        assert told(AFTER + HOUR, "bill-restated") == []

    def test_is_no_news_after_some_days(self, keep):
        self.deliver(keep, "4", "one", END + HOUR)
        close(ask(reasons={"BILL": "As agreed."}))
        self.deliver(keep, "5", "two", AFTER + HOUR)
        assert told(AFTER + timedelta(days=4), "bill-restated") == []
