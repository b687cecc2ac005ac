"""The door for Collectors, and counting once whatever comes again."""

import gzip
import json
import time
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError, transaction

from apps.common.otlp import door
from apps.common.otlp.messages import ExportLogsServiceRequest, ExportLogsServiceResponse
from apps.metering import actions, otlp
from apps.metering.access_log import read_entry, read_record
from apps.metering.models import DirtyHour, HourlyUsage, UsageEvent
from apps.metering.quarantine.models import QuarantinedRecord
from tests.database import as_owner
from tests.factories import NOW, stored_calls
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


def framed(*records):
    """Return a batch of records that are bytes already."""
    scope = b"".join(b"\x12" + _length(len(one)) + one for one in records)
    resource = b"\x12" + _length(len(scope)) + scope
    return b"\x0a" + _length(len(resource)) + resource


def _length(value):
    """Return a number as protobuf writes it."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def call(**changes):
    return CALL | {"x-request-id": str(uuid4())} | changes


@pytest.fixture
def post(client, names):
    def send(body, token=TOKEN, content_type="application/x-protobuf", **headers):
        return client.post(
            "/v1/logs", body, content_type=content_type, headers={"Authorization": token, **headers}
        )

    return send


class TestLogs:
    def test_stores_each_call_once_however_often_it_comes(self, post):
        body = batch(call(), call())
        assert [post(body).status_code for _ in range(3)] == [200, 200, 200]
        assert stored_calls().count() == 2

    def test_counts_a_repeat_inside_one_batch_once(self, post):
        record = call()
        assert post(batch(record, record)).status_code == 200
        assert stored_calls().count() == 1

    def test_takes_gzip(self, post):
        assert post(gzip.compress(batch(call())), **{"Content-Encoding": "gzip"}).status_code == 200
        assert stored_calls().count() == 1

    def test_keeps_the_good_of_a_batch_and_names_the_bad(self, post):
        response = post(batch(call(), call(start_time="yesterday")))
        partial = ExportLogsServiceResponse.FromString(response.content).partial_success
        assert (partial.rejected_log_records, stored_calls().count()) == (1, 1)
        assert partial.error_message == "kept in quarantine, not counted: Cannot be read: 1"
        kept = QuarantinedRecord.objects.get()
        assert (kept.doubt, kept.detail) == ("UNREADABLE", "start_time is missing or not ISO 8601")

    def test_refuses_a_truncated_batch(self, post):
        assert post(batch(call())[:-7]).status_code == 400
        assert (
            post(gzip.compress(batch(call()))[:-9], **{"Content-Encoding": "gzip"}).status_code
            == 400
        )
        assert not stored_calls().exists()

    @pytest.mark.parametrize("token", ["", "Bearer wrong", "ingest-token-of-the-tests"])
    def test_refuses_a_wrong_credential(self, post, token):
        response = post(batch(call()), token=token)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")

    def test_refuses_another_content_type(self, post):
        assert post(b"{}", content_type="text/plain").status_code == 415

    @pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip"])
    def test_refuses_another_encoding(self, post, encoding):
        assert post(batch(call()), **{"Content-Encoding": encoding}).status_code == 415
        assert not stored_calls().exists()

    @pytest.mark.parametrize("encoding", ["GZIP", "gzip"])
    def test_reads_the_encodings_name_in_any_case(self, post, encoding):
        body = gzip.compress(batch(call()))
        assert post(body, **{"Content-Encoding": encoding}).status_code == 200
        assert stored_calls().count() == 1

    @pytest.mark.parametrize("packed", [False, True])
    def test_takes_exactly_as_much_as_it_says(self, post, monkeypatch, packed):
        body = batch(call())
        monkeypatch.setattr("apps.common.otlp.door.MAX_BYTES", len(body))
        headers = {"Content-Encoding": "gzip"} if packed else {}
        pack = (lambda one: gzip.compress(one, 9)) if packed else bytes
        assert post(pack(body), **headers).status_code == 200
        # an unknown field: one more byte than is allowed makes the difference, not its content
        assert post(pack(body + b"\x10\x01"), **headers).status_code == 413
        assert stored_calls().count() == 1

    def test_takes_32_mb_and_not_a_byte_more(self, post):
        assert door.MAX_BYTES == 32 * 1024 * 1024
        rest = door.MAX_BYTES - len(batch(call()))
        filler = b"\x12" + _length(rest - 5) + b"\0" * (rest - 5)
        body = batch(call()) + filler
        assert len(body) == door.MAX_BYTES
        assert post(body).status_code == 200
        assert post(gzip.compress(body, 1), **{"Content-Encoding": "gzip"}).status_code == 200
        assert post(body + b"\0").status_code == 413
        longer = gzip.compress(body + b"\0", 1)
        assert post(longer, **{"Content-Encoding": "gzip"}).status_code == 413

    def test_refuses_a_bomb(self, post):
        bomb = gzip.compress(b"\0" * (door.MAX_BYTES + 1))
        assert post(bomb, **{"Content-Encoding": "gzip"}).status_code == 413

    @pytest.mark.parametrize(
        "piece",
        [
            b"\x0a\x00",  # an empty group of a resource
            b"\x10\x01",  # an unknown field
            b"\x0a\x02\x12\x00",  # an empty group of a scope in one of a resource
            b"\x0a\x04\x12\x02\x12\x00",  # an empty record
        ],
    )
    def test_stops_early_in_a_batch_of_many_empty_pieces(self, post, piece):
        packed = gzip.compress(piece * (door.MAX_BYTES // len(piece)))
        began = time.process_time()
        response = post(packed, **{"Content-Encoding": "gzip"})
        assert time.process_time() - began < 2
        assert (response.status_code, stored_calls().count()) == (413, 0)

    def test_stops_early_in_records_of_many_empty_attributes(self, post):
        record = b"\x32\x00" * (otlp.MOST_BYTES_OF_RECORD // 2)
        body = framed(*([record] * 400))
        began = time.process_time()
        assert post(gzip.compress(body), **{"Content-Encoding": "gzip"}).status_code == 413
        assert time.process_time() - began < 2

    def test_takes_as_many_records_as_it_says(self, post, monkeypatch):
        monkeypatch.setattr(otlp, "MOST_RECORDS", 3)
        assert post(batch(*(call() for _ in range(3)))).status_code == 200
        response = post(batch(*(call() for _ in range(4))))
        assert (response.status_code, stored_calls().count()) == (413, 3)
        assert b"records at most" in response.content

    def test_keeps_the_good_beside_a_record_that_is_huge_or_torn(self, post):
        good = call()
        body = batch(good) + batch({"x": "y" * otlp.MOST_BYTES_OF_RECORD}) + framed(b"\x32\x7f")
        partial = ExportLogsServiceResponse.FromString(post(body).content).partial_success
        assert partial.rejected_log_records == 2
        details = set(QuarantinedRecord.objects.values_list("detail", flat=True))
        assert details == {"a record has more than 65536 bytes", "a record cannot be read"}
        assert [str(event.event_id) for event in stored_calls()] == [good["x-request-id"]]

    def test_refuses_for_good_what_the_database_never_takes(self, post, monkeypatch):
        """A 503 would bring the batch back for ever, and everything behind it would wait."""
        monkeypatch.setattr(
            otlp, "read_entry", lambda values: replace(
                read_entry(values), record=replace(read_record(values), output_tokens=None)
            ) if values["team"] == "odd" else read_entry(values),
        )  # fmt: skip
        calls = [call(), call(team="odd"), call(), call(), call(team="odd")]
        response = post(batch(*calls))
        partial = ExportLogsServiceResponse.FromString(response.content).partial_success
        assert (response.status_code, partial.rejected_log_records) == (200, 2)
        assert "Refused by the database: 2" in partial.error_message
        kept = QuarantinedRecord.objects.values_list("doubt", "team")
        assert list(kept) == [("REFUSED", "odd")] * 2
        assert stored_calls().count() == 3
        assert not stored_calls().filter(team="odd").exists()

    def test_asks_to_try_again_while_the_database_is_away(self, post, monkeypatch):
        def away(**_):
            raise OperationalError("gone")

        monkeypatch.setattr(actions, "ingest_usage", away)
        response = post(batch(call()))
        assert (response.status_code, response["Retry-After"]) == (503, "5")


class TestJson:
    def sent(self, *records):
        kinds = {int: "intValue", float: "doubleValue", str: "stringValue"}
        found = [
            {"attributes": [
                {"key": key, "value": {kinds[type(v)]: str(v) if isinstance(v, int) else v}}
                for key, v in values.items()
            ]}
            for values in records
        ]  # fmt: skip
        return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": found}]}]})

    def test_counts_what_comes_in_json_like_what_comes_in_protobuf(self, post):
        one, other = call(), call(**{"gen_ai.latency.ttft_ms": 81.5})
        post(batch(one))
        response = post(self.sent(one, other), content_type="application/json")
        assert (response.status_code, response.json()) == (200, {})
        stored = stored_calls().get(event_id=other["x-request-id"])
        assert (stored_calls().count(), stored.ttft_ms, stored.input_tokens) == (2, 81.5, 120)

    def test_tells_in_json_what_is_kept_apart(self, post):
        response = post(self.sent(call(team="nobody")), content_type="application/json")
        assert response.json() == {
            "partialSuccess": {
                "rejectedLogRecords": "1",
                "errorMessage": "kept in quarantine, not counted: Unknown team: 1",
            }
        }

    @pytest.mark.parametrize(
        "body",
        [
            "{", "[]", "null", "[" * 100_000, '{"resourceLogs": {}}', '{"resourceLogs": [1]}',
            '{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": 1}]}]}]}',
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_batch(self, post, body):
        assert post(body, content_type="application/json").status_code == 400

    def test_holds_the_same_limits(self, post, monkeypatch):
        monkeypatch.setattr(otlp, "MOST_RECORDS", 1)
        body = self.sent(call(), call())
        assert post(body, content_type="application/json").status_code == 413
        monkeypatch.setattr(otlp, "MOST_RECORDS", 2)
        monkeypatch.setattr(otlp, "MOST_VALUES", 20)
        assert post(body, content_type="application/json").status_code == 413
        assert not stored_calls().exists()

    def test_reads_a_value_of_another_kind_as_none(self, post):
        sent = json.loads(self.sent(call()))
        record = sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
        record["attributes"] += [
            {"key": "gen_ai.latency.ttft_ms", "value": {"arrayValue": {"values": []}}},
            {"key": "route_name", "value": "text"},
            {"key": "user_id"},
        ]
        assert post(json.dumps(sent), content_type="application/json").status_code == 200
        stored = stored_calls().get()
        assert (stored.ttft_ms, stored.route, stored.user_id) == (None, "", "")


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
        with as_owner(), pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
            UsageEvent.objects.update(output_tokens=0)
