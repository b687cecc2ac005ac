"""Pages of closing a month."""

import csv
import io

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.chargeback.closing import actions
from apps.chargeback.closing.models import MonthClose, Statement
from apps.metering.quarantine.models import QuarantinedRecord
from tests.chargeback.closing.test_actions import (  # noqa: F401 (a fixture)
    AFTER,
    START,
    ask,
    close,
    kept_october,
    october,
)
from tests.chargeback.pricing import finance
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("october", "moment")]
LIST, NEW = "/chargeback/closes/", "/chargeback/closes/new/2026-10/"


@pytest.fixture
def moment(monkeypatch):
    monkeypatch.setattr("apps.chargeback.closing.views.now", lambda: AFTER)


def text_of(answer):
    return " ".join(answer.content.decode().split())


def as_(client, person):
    client.force_login(person)
    return client


class TestAsking:
    def test_leads_to_the_month_that_is_next(self, client):
        said = text_of(as_(client, finance("asks")).get(LIST))
        assert "No month was closed yet" in said and f'href="{NEW}"' in said
        close(ask())
        assert "Close November 2026…" in text_of(client.get(LIST))

    def test_shows_the_checklist_and_what_would_be_issued(
        self, client, django_assert_max_num_queries
    ):
        as_(client, finance("asks"))
        with django_assert_max_num_queries(32):
            said = text_of(client.get(NEW))
        assert "Everything that was used in the month has a published price." in said
        assert "2026-10-002" in said and "CC-4200" in said
        assert "Ask another person to close it" in said

    def test_takes_a_reason_for_what_is_open(self, client):
        QuarantinedRecord.objects.create(
            fingerprint="f", doubt="TEAM", detail="x", received_at=START, received_via="OTLP",
            occurred_at=START,
        )  # fmt: skip
        as_(client, finance("asks"))
        assert "1 record waits to be counted." in text_of(client.get(NEW))
        sent = {"justification": "All of it was checked."}
        refused = client.post(NEW, sent)
        assert refused.status_code == 422
        assert "Not so: Quarantine is empty." in text_of(refused)
        client.post(NEW, sent | {"accept_QUARANTINE": "A load test."})
        assert MonthClose.objects.get().checklist[3]["accepted"] == "A load test."

    def test_says_what_comes_first_where_the_month_cannot_be_closed(self, client, monkeypatch):
        monkeypatch.setattr("apps.chargeback.closing.views.now", lambda: START)
        said = text_of(as_(client, finance("asks")).get(NEW))
        assert "The month cannot be closed yet." in said
        assert "It can be closed from 01 Nov 2026 01:00 UTC on." in said
        assert "Ask another person" not in said

    def test_is_looked_at_by_those_who_see_all_money(self, client):
        as_(client, UserFactory(with_roles=[Role.AUDITOR]))
        assert "Finance closes months." in text_of(client.get(NEW))
        assert client.post(NEW, {"justification": "I am an auditor."}).status_code == 403
        assert not MonthClose.objects.exists()

    @pytest.mark.parametrize("month", ["2026-13", "october"])
    def test_of_no_month_is_refused_in_words(self, client, month):
        answer = as_(client, finance("asks")).get(f"/chargeback/closes/new/{month}/")
        assert answer.status_code in (400, 404)


class TestDeciding:
    def test_takes_another_person(self, client):
        item = ask()
        own = text_of(as_(client, finance("asks")).get(item.get_absolute_url()))
        assert "You asked for this, so another finance person decides." in own
        other = text_of(as_(client, finance("closes")).get(item.get_absolute_url()))
        assert "Close October 2026 and issue the statements" in other
        url = reverse("chargeback:month_close_approve", args=[item.pk])
        assert client.post(url, {"reason": ""}).status_code == 422
        said = text_of(client.post(url, {"reason": "Agreed."}, follow=True))
        assert "Closed. The statements are issued." in said
        assert "2026-10-001" in said and "Total of 2 statements" in said

    def test_is_refused_in_words_over_another_month_than_was_seen(self, client, monkeypatch):
        item = ask()
        monkeypatch.setattr(actions.queries, "preview", lambda month: [])
        url = reverse("chargeback:month_close_approve", args=[item.pk])
        answer = as_(client, finance("closes")).post(url, {"reason": "Agreed."}, follow=True)
        assert "The month has changed since its close was asked for." in text_of(answer)

    def test_is_rejected_or_withdrawn(self, client):
        item = ask()
        url = reverse("chargeback:month_close_reject", args=[item.pk])
        said = as_(client, finance("closes")).post(url, {"reason": "Not yet."}, follow=True)
        assert "Rejected. The month stays open." in text_of(said)
        again = ask()
        url = reverse("chargeback:month_close_withdraw", args=[again.pk])
        assert "Withdrawn." in text_of(as_(client, finance("asks")).post(url, follow=True))


class TestStatement:
    def test_shows_its_lines_and_is_also_a_file(self, client):
        close(ask())
        statement = Statement.objects.get(cost_center="CC-4100")
        as_(client, UserFactory(with_roles=[Role.AUDITOR]))
        said = text_of(client.get(statement.get_absolute_url()))
        assert statement.digest in said and "Cached input" in said
        answer = client.get(statement.get_absolute_url(), {"format": "csv"})
        rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert [row["item"] for row in rows] == ["CACHED_INPUT", "INPUT", "OUTPUT"]
        assert {row["team"] for row in rows} == {"claims-review"}

    def test_is_not_there_for_those_who_see_one_team(self, client):
        item = close(ask())
        as_(client, UserFactory(with_roles=[Role.TEAM_LEAD]))
        statement = Statement.objects.first()
        for url in (LIST, NEW, item.get_absolute_url(), statement.get_absolute_url()):
            assert client.get(url).status_code == 404
        url = reverse("chargeback:month_close_approve", args=[item.pk])
        assert client.post(url, {"reason": "Mine."}).status_code == 404
