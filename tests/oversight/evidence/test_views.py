"""The pages of evidence packs."""

from datetime import date

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.oversight.evidence import actions
from apps.oversight.evidence.models import EvidencePack
from tests.database import as_owner
from tests.factories import NOW, UserFactory
from tests.pages import joined
from tests.promotions import factories

pytestmark = pytest.mark.django_db
PATH = "/audit/evidence/"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


@pytest.fixture
def page(client, auditor):
    client.force_login(auditor)
    return client


@pytest.fixture
def pack(auditor):
    return actions.ask_for_month(month=OCTOBER, actor=auditor, now=NOW)


def settle(pack, **facts):
    EvidencePack.objects.filter(pk=pack.pk).update(**facts)


class TestList:
    def test_shows_what_was_asked_for_and_as_csv(self, page, pack, auditor, registered_model):
        promotion = factories.live(registered_model, 7).promotion
        actions.ask_for_promotion(promotion=promotion, actor=auditor, now=NOW)
        found = joined(page.get(PATH).content)
        for words in ("October 2026", "prior-auth-extract-v7 → production", "Being made"):
            assert words in found
        answer = page.get(PATH, {"format": "csv", "kind": "MONTH"})
        head, line = b"".join(answer.streaming_content).decode().splitlines()
        assert line.startswith("October 2026,MONTH,WAITING,")

    def test_is_led_to_from_the_record(self, page):
        assert PATH in joined(page.get("/audit/").content)


class TestAsk:
    def test_has_a_month_or_a_promotion_put_together(self, page, registered_model, enqueued):
        promotion = factories.live(registered_model, 7).promotion
        with enqueued() as sent:
            page.post(f"{PATH}ask/", {"month": "2026-09"})
            answer = page.post(f"{PATH}ask/", {"promotion": str(promotion.pk)})
        month, asked = EvidencePack.objects.order_by("pk")
        assert (month.month, asked.promotion) == (SEPTEMBER, promotion)
        assert answer["Location"] == asked.get_absolute_url()
        assert [task for task, _ in sent] == ["oversight.make_evidence"] * 2
        assert AuditEvent.objects.filter(action="evidence.requested", actor="aisha").count() == 2

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            ({}, "Choose a promotion or a month"),
            ({"month": "2026/9"}, "Write a month as 2026-11."),
            ({"promotion": "00000000-0000-4000-8000-000000000001"}, "Select a valid choice"),
        ],
    )
    def test_refuses_what_is_neither(self, page, sent, words):
        answer = page.post(f"{PATH}ask/", sent)
        assert (answer.status_code, words in joined(answer.content)) == (422, True)
        assert not EvidencePack.objects.exists()

    def test_says_that_a_month_has_not_begun(self, page):
        answer = page.post(f"{PATH}ask/", {"month": "2099-01"}, follow=True)
        assert "January 2099 has not begun." in joined(answer.content)


class TestDetail:
    def test_tells_how_far_it_is_and_asks_again_by_itself(self, page, pack):
        settle(pack, done=3, total=9, working_on="Rollout 1 of extract-v1")
        found = joined(page.get(pack.get_absolute_url()).content)
        assert "Rollout 1 of extract-v1" in found and "3 of 9" in found
        assert f'hx-get="{pack.get_absolute_url()}"' in found
        part = joined(page.get(pack.get_absolute_url(), HTTP_HX_REQUEST="true").content)
        assert "Rollout 1 of extract-v1" in part and "<html" not in part

    def test_gives_what_is_made_and_no_more_than_that(self, page, pack):
        assert page.get(f"{pack.get_absolute_url()}file/").status_code == 409
        settle(
            pack, status="MADE", sha256="a" * 64, size_bytes=2048, made_at=timezone.now(),
            object_key="evidence/x.zip", checkpoint_size=1234, next_check_at=None,
        )  # fmt: skip
        found = joined(page.get(pack.get_absolute_url()).content)
        for words in ("Download the evidence", "1,234", "a" * 64):
            assert words in found
        assert "hx-get" not in found.partition('id="state"')[2].partition("</section>")[0]

    def test_says_why_it_failed_and_lets_it_be_tried_again(self, page, pack, enqueued):
        actions.record_failed(pack=pack, reason="STORING", message="The key is gone.", now=NOW)
        assert "The key is gone." in joined(page.get(pack.get_absolute_url()).content)
        with enqueued() as sent:
            page.post(f"{pack.get_absolute_url()}retry/")
        pack.refresh_from_db()
        assert (pack.status, sent[0][0]) == ("WAITING", "oversight.make_evidence")
        said = page.post(f"{pack.get_absolute_url()}retry/", follow=True)
        assert "The evidence pack is being made already." in joined(said.content)


def test_nothing_of_it_is_there_for_others(client, pack):
    client.force_login(UserFactory(with_roles=[Role.FINANCE, Role.MODEL_OWNER, Role.REVIEWER]))
    for path in (PATH, pack.get_absolute_url(), f"{pack.get_absolute_url()}file/"):
        assert client.get(path).status_code == 404
    for path in (f"{PATH}ask/", f"{pack.get_absolute_url()}retry/"):
        assert client.post(path, {"month": "2026-08"}).status_code == 404
    assert EvidencePack.objects.count() == 1


class TestGuards:
    def test_a_pack_never_changes_once_it_is_made_nor_what_it_is_about(self, pack):
        settle(
            pack, status="MADE", sha256="a" * 64, size_bytes=1, made_at=NOW, object_key="x",
            checkpoint_size=1,
        )  # fmt: skip
        mine = EvidencePack.objects.filter(pk=pack.pk)
        for change in (
            lambda: mine.update(sha256="b" * 64),
            lambda: mine.update(month=SEPTEMBER),
            lambda: mine.update(status="WAITING"),
            lambda: mine.delete(),
        ):
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()
