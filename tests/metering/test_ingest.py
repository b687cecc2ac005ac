"""The door for Collectors, and counting once whatever comes again."""

import gzip
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError, transaction

from apps.metering import actions
from apps.metering.models import DirtyHour, HourlyUsage, UsageEvent
from apps.metering.otlp_messages import ExportLogsServiceRequest, ExportLogsServiceResponse
from tests.factories import NOW
from tests.metering.test_access_log import CALL

TOKEN = "Bearer ingest-token-of-the-tests"


def batch(*records):
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for values in records:
        record = scope.log_records.add()
        for key, value in values.items():
            pair = record.attributes.add(key=key)
            pair.value.string_value = "-" if value is None else str(value)
    return request.SerializeToString()


def call(**changes):
    return CALL | {"x-request-id": str(uuid4())} | changes


@pytest.fixture
def post(client, db):
    def send(body, token=TOKEN, content_type="application/x-protobuf", **headers):
        return client.post(
            "/v1/logs", body, content_type=content_type, headers={"Authorization": token, **headers}
        )

    return send


class TestLogs:
    def test_stores_each_call_once_however_often_it_comes(self, post):
        body = batch(call(), call())
        assert [post(body).status_code for _ in range(3)] == [200, 200, 200]
        assert UsageEvent.objects.count() == 2

    def test_counts_a_repeat_inside_one_batch_once(self, post):
        record = call()
        assert post(batch(record, record)).status_code == 200
        assert UsageEvent.objects.count() == 1

    def test_takes_gzip(self, post):
        assert post(gzip.compress(batch(call())), **{"Content-Encoding": "gzip"}).status_code == 200
        assert UsageEvent.objects.count() == 1

    def test_keeps_the_good_of_a_batch_and_names_the_bad(self, post):
        response = post(batch(call(), call(start_time="yesterday")))
        partial = ExportLogsServiceResponse.FromString(response.content).partial_success
        assert (partial.rejected_log_records, UsageEvent.objects.count()) == (1, 1)
        assert "start_time" in partial.error_message and "yesterday" not in partial.error_message

    def test_refuses_a_truncated_batch(self, post):
        assert post(batch(call())[:-7]).status_code == 400
        assert (
            post(gzip.compress(batch(call()))[:-9], **{"Content-Encoding": "gzip"}).status_code
            == 400
        )
        assert not UsageEvent.objects.exists()

    @pytest.mark.parametrize("token", ["", "Bearer wrong", "ingest-token-of-the-tests"])
    def test_refuses_a_wrong_credential(self, post, token):
        response = post(batch(call()), token=token)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")

    def test_refuses_another_content_type(self, post):
        assert post(b"{}", content_type="application/json").status_code == 415

    def test_refuses_a_bomb(self, post, monkeypatch):
        monkeypatch.setattr("apps.metering.ingest.MAX_BYTES", 100)
        assert (
            post(gzip.compress(b"\0" * 10_000), **{"Content-Encoding": "gzip"}).status_code == 413
        )

    def test_asks_to_try_again_while_the_database_is_away(self, post, monkeypatch):
        def away(**_):
            raise OperationalError("gone")

        monkeypatch.setattr(actions, "ingest_usage", away)
        response = post(batch(call()))
        assert (response.status_code, response["Retry-After"]) == (503, "5")


@pytest.mark.django_db
class TestRollUp:
    def test_sums_an_hour_and_sums_it_again_the_same(self, post):
        post(
            batch(call(), call(), call(**{"response_code": 429, "gen_ai.usage.input_tokens": None}))
        )
        for _ in range(2):
            actions.roll_up_dirty_hours(now=NOW)
            DirtyHour.objects.get_or_create(
                hour=HourlyUsage.objects.first().hour, defaults={"marked_at": NOW}
            )
        metered = HourlyUsage.objects.get()
        assert (metered.metered_calls, metered.refused_calls) == (2, 1)
        assert (metered.input_tokens, metered.cached_input_tokens, metered.output_tokens) == (
            240,
            40,
            60,
        )

    def test_adds_what_comes_late(self, post):
        post(batch(call()))
        actions.roll_up_dirty_hours(now=NOW)
        post(batch(call()))
        actions.roll_up_dirty_hours(now=NOW)
        assert HourlyUsage.objects.get().metered_calls == 2

    def test_leaves_a_clean_hour_alone(self):
        assert actions.roll_up_dirty_hours(now=NOW) == 0


@pytest.mark.django_db
class TestUsageEvent:
    def test_cannot_be_changed(self, post):
        post(batch(call()))
        with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
            UsageEvent.objects.update(output_tokens=0)
