"""The audit pages: who sees them, what they find, what the CSV holds."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from apps.accounts.models import Role
from apps.audit.actions import record
from apps.audit.models import Action, AuditEvent
from tests.factories import NOW, TeamFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client):
    user = UserFactory(username="aisha", with_roles=[Role.AUDITOR])
    client.force_login(user)
    return user


@pytest.fixture
def events(auditor, registered_model):
    alice, team = registered_model.created_by, TeamFactory(slug="claims-ops")
    changed = {"before": {"roles": ["DEVELOPER"]}, "after": {"roles": ["AUDITOR"]}}
    return [
        record(
            action=Action.MODEL_REGISTERED,
            actor=alice,
            target=registered_model,
            now=NOW,
            request_id="r-1",
        ),
        record(
            action=Action.ACCESS_REJECTED,
            actor=alice,
            target=team,
            now=NOW + timedelta(days=1),
            data={"reason": "=cmd|' /C calc'!A0"},
            request_id="r-1",
        ),
        record(
            action=Action.USER_SYNCED,
            actor=auditor,
            target=auditor,
            now=NOW + timedelta(days=2),
            data=changed,
        ),
    ]


def found(client, **query):
    page = client.get("/audit/", query)
    return [line.row.action for line in page.context["table"].lines]


class TestEventList:
    @pytest.mark.parametrize(
        "role", [r for r in Role.values if r not in ("AUDITOR", "PLATFORM_ENGINEER")]
    )
    def test_is_not_there_for_others(self, client, role):
        client.force_login(UserFactory(with_roles=[role]))
        assert client.get("/audit/").status_code == 404

    def test_is_there_for_auditors_and_platform_engineers(self, client):
        for role in ("AUDITOR", "PLATFORM_ENGINEER"):
            client.force_login(UserFactory(with_roles=[role]))
            assert client.get("/audit/").status_code == 200

    def test_shows_the_newest_first(self, client, events):
        assert found(client) == ["user.synced", "access.rejected", "model.registered"]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"q": "claims"}, ["access.rejected"]),
            ({"q": "r-1"}, ["access.rejected", "model.registered"]),
            ({"actor": "aisha"}, ["user.synced"]),
            ({"request_id": "r-1"}, ["access.rejected", "model.registered"]),
            ({"request_id": "r"}, []),
            ({"action": "model.registered"}, ["model.registered"]),
            ({"action": "nonsense"}, ["user.synced", "access.rejected", "model.registered"]),
            ({"target_type": "Team"}, ["access.rejected"]),
            ({"from": "2026-11-03"}, ["user.synced", "access.rejected"]),
            ({"to": "2026-11-02"}, ["model.registered"]),
            ({"from": "2026-11-03", "to": "2026-11-03"}, ["access.rejected"]),
            ({"from": "soon"}, ["user.synced", "access.rejected", "model.registered"]),
            ({"q": "nobody"}, []),
        ],
    )
    def test_filters(self, client, events, query, expected):
        assert found(client, **query) == expected

    def test_a_day_is_whole_and_both_days_are_shown(self, client, auditor):
        days = [datetime(2026, 11, day, tzinfo=UTC) for day in (4, 5)]
        last = timedelta(microseconds=1)
        moments = [at for day in days for at in (day - last, day)]
        for at in moments:
            record(action=Action.SIGNED_IN, actor=auditor, target=auditor, now=at)
        page = client.get("/audit/", {"from": "2026-11-04", "to": "2026-11-04"})
        lines = page.context["table"].lines
        assert [line.row.occurred_at for line in lines] == [moments[2], moments[1]]
        chips = [chip.words for chip in page.context["table"].chips]
        assert chips == ["From (UTC): 2026-11-04", "To (UTC): 2026-11-04"]

    @pytest.mark.parametrize(("name", "label"), [("from", "From (UTC)"), ("to", "To (UTC)")])
    def test_says_that_the_calendars_last_day_cannot_be(self, client, events, name, label):
        page = client.get("/audit/", {name: "9999-12-31"}).context["table"]
        assert page.notes == [f"“9999-12-31” is not a value of the filter {label}."]
        assert page.count == 3

    def test_answers_htmx_with_the_results_alone(self, client, events):
        part = {"HX-Request": "true", "HX-Target": "table-audit"}
        page = client.get("/audit/", headers=part).content.decode()
        assert "<html" not in page
        assert "Model registered" in page

    def test_pages_with_a_fixed_number_of_queries(self, client, auditor, django_assert_num_queries):
        for minute in range(60):
            record(
                action=Action.SIGNED_IN,
                actor=auditor,
                target=auditor,
                now=NOW + timedelta(minutes=minute),
            )
        client.get("/audit/")
        with django_assert_num_queries(11):  # session, user, roles, count, page; 6 of the record
            page = client.get("/audit/", {"page": 2})
        assert len(page.context["table"].lines) == 10
        assert "51–60 of 60 events" in joined(page.content)

    def test_the_csv_holds_exactly_what_the_filters_show(self, client, events):
        query = {"q": "claims", "columns": "event,code,data", "format": "csv"}
        answer = client.get("/audit/", query)
        rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
        assert [row["Event"] for row in rows] == [str(events[1].pk)]
        assert [row["Action code"] for row in rows] == ["access.rejected"]
        assert json.loads(rows[0]["What was recorded with it"]) == events[1].data
        assert answer["Content-Disposition"].startswith('attachment; filename="audit-')

    def test_the_csv_holds_no_formula(self, client, auditor):
        team = TeamFactory(name="x", slug="x")
        team.slug = "=2+2"
        record(action=Action.COST_CENTER_ASSIGNED, actor=auditor, target=team, now=NOW)
        body = b"".join(client.get("/audit/", {"format": "csv"}).streaming_content).decode()
        assert "'=2+2" in body


class TestEventDetail:
    def test_shows_before_after_and_what_the_same_request_wrote(self, client, events):
        page = client.get(f"/audit/{events[2].pk}/").content.decode()
        assert "DEVELOPER" in page
        assert "AUDITOR" in page
        assert "changed" in page
        assert "Model registered" in client.get(f"/audit/{events[1].pk}/").content.decode()

    def test_leads_to_all_that_the_same_request_wrote(self, client, events):
        page = joined(client.get(f"/audit/{events[1].pk}/").content)
        assert '<a class="link" href="/audit/?request_id=r-1">r-1</a>' in page
        assert "none: a worker did it" in joined(client.get(f"/audit/{events[2].pk}/").content)

    def test_is_not_there_for_others(self, client, events, charlie):
        client.force_login(charlie)
        assert client.get(f"/audit/{events[0].pk}/").status_code == 404

    def test_asks_a_fixed_number_of_queries(self, client, events, django_assert_num_queries):
        with django_assert_num_queries(7):  # session, user, roles, event, seal, timeline, same
            client.get(f"/audit/{events[0].pk}/")

    def test_has_an_address_that_stays(self, events):
        assert (
            AuditEvent.objects.get(pk=events[0].pk).get_absolute_url() == f"/audit/{events[0].pk}/"
        )
