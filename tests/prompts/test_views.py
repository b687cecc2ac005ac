"""Pages of the prompt record: what each person sees, and that nothing is shown unasked."""

import json
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.common.canonical import digest_of
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds.models import LegalHold
from apps.prompts.models import LostPrompts, PromptRecord
from apps.prompts.reading.actions import name_reader, read_record
from tests.factories import UserFactory
from tests.pages import joined
from tests.prompts.samples import member, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client):
    def get(person, name, *args, **query):
        client.force_login(person)
        return client.get(reverse(f"prompts:{name}", args=args), query)

    return get


class TestOverview:
    def test_says_what_is_kept_lost_and_out_of_reach(self, page, ada):
        stored(member()), stored()
        LostPrompts.objects.create(
            hour=timezone.now(), data_class="PHI", because="QUEUE_FULL", count=1234
        )
        text = " ".join(page(ada, "overview").content.decode().split())
        assert "Prompts were lost." in text and "1,234" in text
        assert "<strong>1 call</strong> named neither" in text
        assert "The wrapping key is a file." in text

    def test_shows_reviewers_no_way_to_the_calls(self, page, carol):
        text = page(carol, "overview").content.decode()
        assert reverse("prompts:record_list") not in text
        assert reverse("prompts:erasure_list") in text


class TestHolds:
    @pytest.mark.parametrize(
        ("scope", "value", "covers"),
        [("CALL", "9e5fb98b-0000", "call 9e5fb98b"), ("TEAM", "prior-auth", "team prior-auth"),
         ("MEMBER", "ab" * 32, "member abababab"), ("CASE", "cd" * 32, "case cdcdcdcd")],
    )  # fmt: skip
    def test_say_what_they_cover(self, page, ada, scope, value, covers):
        LegalHold.objects.create(
            scope=scope, value=value, matter="2026-17", placed_by=ada, placed_at=timezone.now()
        )
        text = joined(page(ada, "hold_list").content).replace("> ", ">").replace(" <", "<")
        assert f">{covers}</a>" in text


class TestReaders:
    def test_gives_every_field_a_label_of_its_own(self, client, page, ada, carol):
        second = UserFactory(username="rita", with_roles=[Role.REVIEWER])
        for who in (carol, second):
            name_reader(reader=who, days=7, reason="Review.", actor=ada, now=timezone.now())
        text = page(ada, "reader_list").content.decode()
        ids = re.findall(r'<textarea[^>]* id="([^"]+)"', text)
        assert len(ids) == len(set(ids)) == 3
        assert all(f'for="{one}"' in text for one in ids)

    def test_links_readings_for_those_who_may_search(self, page, ada, carol):
        record = stored()
        read_record(record=record, reader=ada, reason="Complaint 17.", now=timezone.now())
        address = f"{reverse('prompts:record_list')}?q={record.call_id}"
        assert address in page(ada, "reader_list").content.decode()
        text = page(carol, "reader_list").content.decode()
        assert "Complaint 17." in text and address not in text


class TestRecords:
    def test_are_found_by_what_they_are_and_pin_their_queries(
        self, page, ada, django_assert_max_num_queries
    ):
        mine, other = stored(team="claims-review"), stored(team="prior-auth", model="summary")
        PromptRecord.objects.filter(pk=mine.pk).update(rules_hit=["no-ssn"])
        for query in ({"team": "claims-review"}, {"rule": "no-ssn"}, {"q": str(mine.call_id)},
                      {"model": "extract"}):  # fmt: skip
            text = page(ada, "record_list", **query).content.decode()
            assert str(mine.pk) in text and str(other.pk) not in text
        with django_assert_max_num_queries(15):
            page(ada, "record_list")

    def test_show_text_for_a_reason_alone_and_once(self, client, ada, charlie):
        record = stored()
        client.force_login(ada)
        where = reverse("prompts:record_read", args=[record.pk])
        assert b"Jane" not in client.get(record.get_absolute_url()).content
        assert b"Jane" not in client.post(where, {"reason": ""}).content
        assert not AuditEvent.objects.filter(action="prompt.read").exists()
        shown = client.post(where, {"reason": "Complaint 17."})
        assert b"Jane" in shown.content and "no-store" in shown["Cache-Control"]
        assert b"Jane" not in client.get(record.get_absolute_url()).content

    def test_say_why_one_does_not_open(self, client, ada):
        record = stored()
        record.texts.update(ciphertext=b"")
        client.force_login(ada)
        answer = client.post(reverse("prompts:record_read", args=[record.pk]), {"reason": "See."})
        assert answer.status_code == 422 and b"does not open" in answer.content


class TestErasures:
    def test_are_asked_for_by_one_and_done_by_another_with_a_receipt(self, client, ada, carol):
        stored(member())
        client.force_login(ada)
        client.post(
            reverse("prompts:erasure_create"),
            {"kind": "MEMBER", "name": "m-100-42", "justification": "The member asked for it."},
        )
        erasure = ErasureRequest.objects.get()
        client.force_login(carol)
        text = client.get(erasure.get_absolute_url()).content.decode()
        assert "Destroy the keys" in text and "Keys that it would destroy" in text
        client.post(reverse("prompts:erasure_approve", args=[erasure.pk]), {"reason": "Lawful."})
        receipt = client.get(reverse("prompts:erasure_receipt", args=[erasure.pk]))
        erasure.refresh_from_db()
        assert digest_of(json.loads(receipt.content)) == erasure.receipt_digest
        assert (
            "Calls that nobody reads any more"
            in client.get(erasure.get_absolute_url()).content.decode()
        )

    def test_say_which_hold_stands_in_the_way(self, client, ada, carol):
        record = stored(member())
        client.force_login(ada)
        client.post(
            reverse("prompts:hold_create"),
            {"scope": "CALL", "name": str(record.call_id), "matter": "2026-17"},
        )
        client.post(
            reverse("prompts:erasure_create"),
            {"kind": "MEMBER", "name": "M-100-42", "justification": "The member asked for it."},
        )
        client.force_login(carol)
        text = client.get(ErasureRequest.objects.get().get_absolute_url()).content.decode()
        assert "A legal hold stands in the way." in text and "2026-17" in text
