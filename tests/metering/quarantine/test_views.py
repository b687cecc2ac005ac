"""Pages of the records that are not counted."""

import csv
import io

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.common.persons import opaque_id
from apps.metering.models import UsageEvent
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import TeamFactory, UserFactory
from tests.metering.quarantine.test_actions import call, ingest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]
LIST = "/usage/quarantine/"


@pytest.fixture
def finance():
    return UserFactory(username="fin", with_roles=[Role.FINANCE])


def sign_in(client, *roles):
    client.force_login(UserFactory(with_roles=roles))
    return client


def text_of(answer):
    return " ".join(answer.content.decode().split())


class TestPersons:
    def test_are_opaque_ids_in_what_a_record_says(self, client, finance):
        ingest(call(team="nobody", user_id="maria.lopez"))
        client.force_login(finance)
        said = text_of(client.get(QuarantinedRecord.objects.get().get_absolute_url()))
        assert "lopez" not in said and opaque_id("maria.lopez") in said
        assert "user_id" in said
        assert "lopez" not in text_of(client.get(LIST))


class TestList:
    def test_shows_why_and_how_many_wait(self, client, finance, django_assert_max_num_queries):
        ingest(*[call(team=f"nobody-{n}") for n in range(60)], call(duration="soon"))
        client.force_login(finance)
        with django_assert_max_num_queries(12):
            said = text_of(client.get(LIST))
        assert "61 records wait to be counted." in said
        assert "team names no team" in said and "nobody-7" in said
        assert "Try the listed ones again" in said

    def test_is_empty_in_words(self, client, finance):
        client.force_login(finance)
        said = text_of(client.get(LIST))
        assert "Nothing in quarantine" in said and "Try the listed" not in said

    def test_narrows_by_reason_and_searches(self, client, finance):
        ingest(call(team="nobody"), call(team="other-team", duration="soon"))
        client.force_login(finance)
        said = text_of(client.get(LIST, {"doubt": "TEAM"}))
        assert "nobody" in said and "other-team" not in said
        assert "other-team" in text_of(client.get(LIST, {"q": "other-team"}))

    def test_is_also_a_file(self, client, finance):
        ingest(call(team="nobody"), call(team="nobody-else"))
        client.force_login(finance)
        answer = client.get(LIST, {"format": "csv"})
        rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
        assert {row["team"] for row in rows} == {"nobody", "nobody-else"}
        assert {row["reason"] for row in rows} == {"TEAM"}

    @pytest.mark.parametrize("role", [Role.TEAM_LEAD, Role.MODEL_OWNER, Role.REVIEWER])
    def test_is_not_there_for_those_who_see_one_team(self, client, role):
        ingest(call(team="nobody"))
        item = QuarantinedRecord.objects.get()
        sign_in(client, role)
        for url in (LIST, item.get_absolute_url()):
            assert client.get(url).status_code == 404
        for name in ("retry", "leave_out"):
            url = reverse(f"metering:quarantine_{name}", args=[item.pk])
            assert client.post(url, {"reason": "It is mine."}).status_code == 404
        assert client.post(reverse("metering:quarantine_replay")).status_code == 404

    def test_is_read_only_for_auditors(self, client):
        ingest(call(team="nobody"))
        item = QuarantinedRecord.objects.get()
        sign_in(client, Role.AUDITOR)
        assert "Try the listed" not in text_of(client.get(LIST))
        assert "Leave it out" not in text_of(client.get(item.get_absolute_url()))
        answer = client.post(reverse("metering:quarantine_retry", args=[item.pk]))
        assert answer.status_code == 403

    def test_stands_on_the_page_of_calls(self, client, finance):
        ingest(call(team="nobody"))
        client.force_login(finance)
        assert "Quarantine (1)" in text_of(client.get("/usage/"))
        sign_in(client, Role.TEAM_LEAD)
        assert "Quarantine" not in text_of(client.get("/usage/"))


class TestReplay:
    def test_tries_what_the_filters_let_through(self, client, finance):
        ingest(call(team="late"), call(team="later"))
        TeamFactory(slug="late")
        TeamFactory(slug="later")
        client.force_login(finance)
        url = reverse("metering:quarantine_replay") + "?doubt=ABSURD"
        assert "None of them can be counted yet." in text_of(client.post(url, follow=True))
        said = text_of(client.post(reverse("metering:quarantine_replay"), follow=True))
        assert "Counted now: 2." in said
        assert UsageEvent.objects.count() == 2

    def test_of_one_record_touches_no_other(self, client, finance):
        ingest(call(team="late"), call(team="later"))
        TeamFactory(slug="late")
        TeamFactory(slug="later")
        item = QuarantinedRecord.objects.get(team="late")
        client.force_login(finance)
        url = reverse("metering:quarantine_retry", args=[item.pk])
        assert "It is counted now" in text_of(client.post(url, follow=True))
        assert UsageEvent.objects.get().team == "late"


class TestDetail:
    def test_shows_what_the_record_says_and_what_became_of_it(self, client, finance):
        ingest(call(team="nobody", upstream_host="my claim is"))
        item = QuarantinedRecord.objects.get()
        client.force_login(finance)
        said = text_of(client.get(item.get_absolute_url()))
        assert "team names no team" in said and "(11 characters, not kept)" in said
        url = reverse("metering:quarantine_leave_out", args=[item.pk])
        assert client.post(url, {"reason": ""}).status_code == 422
        said = text_of(client.post(url, {"reason": "A load test."}, follow=True))
        assert "Left out for good." in said and "Because" in said and "A load test." in said
        assert "Usage left out for good" in said  # the record's own history
        assert "Try it again" not in said


class TestChargeback:
    def test_says_how_many_are_counted_in_no_total(self, client, finance):
        ingest(call(team="nobody"), call(team="claims-review", duration="soon"))
        client.force_login(finance)
        month = {"month": "2026-11"}
        assert "2 records are in quarantine." in text_of(client.get("/chargeback/", month))
        october = text_of(client.get("/chargeback/", {"month": "2026-10"}))
        assert "0 in quarantine" in october and "in quarantine." not in october
