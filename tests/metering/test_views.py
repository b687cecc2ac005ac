"""The pages of usage: what they say of calls whose usage nobody knows."""

import csv
import io
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import Role
from apps.metering.models import Outcome, Unmetered, UsageEvent
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db


def call(outcome, because="", **more):
    values = {
        "occurred_at": NOW,
        "team": "claims-review",
        "model": "extract",
        "response_code": 200,
        **more,
    }
    return UsageEvent.objects.create(
        event_id=uuid4(), received_at=NOW, received_via="OTLP", outcome=outcome,
        unmetered_because=because, **values,
    )  # fmt: skip


def shown(client, **asked):
    """Return the lines that the list of calls shows."""
    return client.get("/usage/", asked).context["table"].lines


@pytest.fixture
def fiona(db):
    return UserFactory(username="fiona", with_roles=[Role.FINANCE])


class TestUsageList:
    @pytest.mark.parametrize("because", [*Unmetered, ""])
    def test_says_why_a_call_is_unmetered_and_nothing_it_cannot_know(
        self, client, charlie, because
    ):
        call(Outcome.UNMETERED, because)
        call(Outcome.METERED, input_tokens=1, output_tokens=1)
        call(Outcome.FAILED)
        client.force_login(charlie)
        page = client.get("/usage/").content.decode()
        said = {reason: page.count(reason.label) for reason in Unmetered}
        wanted = Unmetered(because or Unmetered.UNKNOWN)
        assert said == {reason: int(reason == wanted) for reason in Unmetered}

    def test_names_the_reason_in_the_export(self, client, charlie):
        gone = call(Outcome.UNMETERED, Unmetered.CLIENT_LEFT)
        broken = call(Outcome.UNMETERED, Unmetered.ENGINE_BROKE_OFF)
        client.force_login(charlie)
        answer = client.get("/usage/?format=csv")
        rows = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert {row["event_id"]: row["why"] for row in rows} == {
            str(gone.pk): "Its client left before the answer ended",
            str(broken.pk): "The engine broke off its answer",
        }

    def test_says_why_a_call_was_refused_and_narrows_by_it(self, client, charlie):
        refused = {
            code: call(Outcome.REFUSED, response_code=code) for code in (401, 403, 404, 429, 413)
        }
        client.force_login(charlie)
        why = {line.row.pk: line.row.why for line in shown(client)}
        assert why == {
            refused[401].pk: "no valid token",
            refused[403].pk: "no access to the model",
            refused[404].pk: "no such model",
            refused[429].pk: "over the limit",
            refused[413].pk: "",
        }
        assert [line.row for line in shown(client, code="429")] == [refused[429]]

    def test_keeps_team_model_version_and_days_of_the_link_that_led_there(self, client, fiona):
        days = [datetime(2026, 11, day, 23, 59, tzinfo=UTC) for day in (1, 2, 3)]
        mine = {"team": "claims-review", "model": "extract", "version": "extract-v1"}
        calls = [call(Outcome.FAILED, occurred_at=day, **mine) for day in days]
        for changed in ({"team": "prior-auth"}, {"model": "summary"}, {"version": ""}):
            call(Outcome.FAILED, occurred_at=days[1], **mine | changed)
        client.force_login(fiona)
        exactly = {"since": "2026-11-02", "until": "2026-11-02", **mine}
        assert [line.row for line in shown(client, **exactly)] == [calls[1]]
        later = {"since": "2026-11-02", "until": "2026-11-03", **mine}
        assert [line.row for line in shown(client, **later)] == [calls[2], calls[1]]
        nameless = shown(client, **exactly | {"version": "(none)"})
        assert [line.row.version for line in nameless] == [""]
        page = client.get("/usage/", exactly).content.decode()
        assert "Team: claims-review" in page and "Version: extract-v1" in page


class TestUsageEvent:
    @pytest.mark.parametrize("outcome", [Outcome.METERED, Outcome.REFUSED, Outcome.FAILED])
    def test_has_a_reason_only_where_it_is_unmetered(self, outcome):
        with (
            pytest.raises(IntegrityError, match="reason_only_if_unmetered"),
            transaction.atomic(),
        ):
            call(outcome, Unmetered.CLIENT_LEFT, input_tokens=1, output_tokens=1)
