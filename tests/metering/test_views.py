"""The pages of usage: what they say of calls whose usage nobody knows."""

import csv
import io
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.metering.models import Outcome, Unmetered, UsageEvent
from tests.factories import NOW

pytestmark = pytest.mark.django_db


def call(outcome, because="", **more):
    return UsageEvent.objects.create(
        event_id=uuid4(), occurred_at=NOW, received_at=NOW, received_via="OTLP", outcome=outcome,
        unmetered_because=because, team="claims-review", model="extract", response_code=200, **more,
    )  # fmt: skip


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
        assert {row["event_id"]: row["unmetered_because"] for row in rows} == {
            str(gone.pk): "CLIENT_LEFT",
            str(broken.pk): "ENGINE_BROKE_OFF",
        }


class TestUsageEvent:
    @pytest.mark.parametrize("outcome", [Outcome.METERED, Outcome.REFUSED, Outcome.FAILED])
    def test_has_a_reason_only_where_it_is_unmetered(self, outcome):
        with (
            pytest.raises(IntegrityError, match="reason_only_if_unmetered"),
            transaction.atomic(),
        ):
            call(outcome, Unmetered.CLIENT_LEFT, input_tokens=1, output_tokens=1)
