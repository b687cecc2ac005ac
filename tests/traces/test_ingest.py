"""The door for spans: what is kept of them, and what never is."""

import gzip
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.common.otlp import door
from apps.traces import actions, otlp
from apps.traces.models import SLOTS, Span, slot_of
from apps.traces.queries import spans_of
from tests.database import owner_runs
from tests.traces.samples import CREDENTIAL, as_json, batch, span

pytestmark = pytest.mark.django_db
CANARY = "Maria Delgado 123-45-6789"


@pytest.fixture
def post(client):
    def send(body, token=CREDENTIAL, content_type="application/x-protobuf", **headers):
        return client.post(
            "/v1/traces", body, content_type=content_type,
            headers={"Authorization": token, **headers},
        )  # fmt: skip

    return send


class TestTraces:
    def test_keeps_each_span_once_however_often_it_comes(self, post):
        body = batch(span(), span())
        assert [post(body).status_code for _ in range(3)] == [200, 200, 200]
        assert Span.objects.count() == 2

    def test_keeps_what_protobuf_and_json_say_alike(self, post):
        told = span(
            parent="00000000000000ab", failed=True, service="stand-in", name="llm_request",
            attributes={"gen_ai.usage.input_tokens": 12, "http.status_code": "503",
                        "gen_ai.latency.time_in_queue": 0.25, "gen_ai.request.model": "extract",
                        "quartermaster.stand_in": True,
                        "gen_ai.request.id": "chatcmpl-7b0e1f7a-0000-4000-8000-00000000000a"},
        )  # fmt: skip
        other = told | {"id": "00000000000000cd"}
        assert post(batch(told)).status_code == 200
        answer = post(json.dumps(as_json(other)), content_type="application/json")
        assert (answer.status_code, answer.json()) == (200, {})
        first, second = Span.objects.order_by("id")
        assert {row.span_id for row in (first, second)} == {told["id"], "00000000000000cd"}
        for row in (first, second):
            assert row.facts == {
                "input_tokens": 12, "status": 503, "queue_seconds": 0.25, "model": "extract",
                "stand_in": "yes",
            }  # fmt: skip
            assert (row.service, row.name, row.failed) == ("stand-in", "llm_request", True)
            assert str(row.request_id) == "7b0e1f7a-0000-4000-8000-00000000000a"
            assert (row.parent_id, row.duration_us) == ("00000000000000ab", 1_500_000)

    def test_takes_gzip(self, post):
        packed = gzip.compress(batch(span()))
        assert post(packed, **{"Content-Encoding": "gzip"}).status_code == 200
        assert Span.objects.count() == 1

    def test_counts_the_bad_of_a_batch_and_keeps_the_good(self, post):
        bad = (
            span(trace="00" * 16), span(id="00" * 8), span(lasts=-1.0), span(lasts=100_000.0),
            span(ago=3600 * 24 + 60), span(ago=-600),
        )  # fmt: skip
        answer = post(batch(span(), *bad, span()))
        assert answer.status_code == 200
        told = otlp.ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert told.rejected_spans == len(bad)
        assert told.error_message == "not kept: cannot be read: 4; not of the last day: 2"
        assert Span.objects.count() == 2
        objects = as_json(span(), span(), span())
        spans = [group["scopeSpans"][0]["spans"][0] for group in objects["resourceSpans"]]
        spans[0]["startTimeUnixNano"] = "yesterday"
        del spans[1]["endTimeUnixNano"]
        answer = post(json.dumps(objects), content_type="application/json")
        assert answer.json()["partialSuccess"]["rejectedSpans"] == "2"
        assert Span.objects.count() == 3

    def test_keeps_no_word_that_is_none_of_a_platform(self, post):
        """A prompt's, a member's or a token's, wherever a span could carry it."""
        attributes = {
            key: CANARY
            for key in ("http.url", "db.statement", "gen_ai.prompt", "exception.message",
                        "gen_ai.request.model", "error.type", "url.query", "user_agent",
                        "http.status_code", "guid:x-request-id", "quartermaster.verdict")
        }  # fmt: skip
        told = span(name=f"GET /?q={CANARY}", service=f"x {CANARY}!", attributes=attributes)
        assert post(batch(told)).status_code == 200
        assert post(json.dumps(as_json(told | {"id": "ab" * 8})),
                    content_type="application/json").status_code == 200  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(s)::text FROM traces_span s")
            rows = [row for (row,) in cursor.fetchall()]
        assert len(rows) == 2
        for row in rows:
            assert "Maria" not in row and "123-45" not in row
            assert json.loads(row)["facts"] == {}

    @pytest.mark.parametrize("token", ["", "Bearer wrong", "ingest-token-of-the-tests"])
    def test_needs_the_credential(self, post, token):
        answer = post(batch(span()), token)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        assert not Span.objects.exists()

    @pytest.mark.parametrize(
        ("body", "content_type", "encoding", "status"),
        [
            (b"\x0a\x7f", "application/x-protobuf", "", 400),
            (b"[1", "application/json", "", 400),
            (b'{"resourceSpans": 1}', "application/json", "", 400),
            (b'{"resourceSpans": [{"resource": 7}]}', "application/json", "", 400),
            (b"no gzip", "application/x-protobuf", "gzip", 400),
            (b"", "text/plain", "", 415),
            (b"", "application/x-protobuf", "br", 415),
        ],
    )
    def test_refuses_for_good_what_is_no_batch(self, post, body, content_type, encoding, status):
        answer = post(body, content_type=content_type, **{"Content-Encoding": encoding})
        assert answer.status_code == status
        assert not Span.objects.exists()

    def test_holds_the_bounds_of_a_batch(self, post, monkeypatch):
        body = batch(span(), span())
        monkeypatch.setattr(otlp, "MOST_SPANS", 1)
        assert post(body).status_code == 413
        as_text = json.dumps(as_json(span(), span()))
        assert post(as_text, content_type="application/json").status_code == 413
        monkeypatch.setattr(otlp, "MOST_SPANS", 2)
        monkeypatch.setattr(otlp, "MOST_VALUES", 1)
        assert post(body).status_code == 413
        monkeypatch.undo()
        monkeypatch.setattr(door, "MAX_BYTES", len(body) - 1)
        assert post(body).status_code == 413
        assert not Span.objects.exists()

    def test_leaves_a_huge_span_out(self, post):
        huge = span(attributes={"x": "y" * otlp.MOST_BYTES_OF_SPAN})
        assert post(batch(span(), huge)).status_code == 200
        assert Span.objects.count() == 1

    def test_asks_for_it_again_while_the_database_is_away(self, post, monkeypatch):
        def away(**_):
            raise OperationalError

        monkeypatch.setattr(actions, "keep_spans", away)
        answer = post(batch(span()))
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")

    def test_needs_few_queries_for_many_spans(self, post, django_assert_max_num_queries):
        body = batch(*(span() for _ in range(300)))
        with django_assert_max_num_queries(3):
            assert post(body).status_code == 200
        assert Span.objects.count() == 300


class TestDropOldSpans:
    def test_takes_whole_old_hours_away_and_no_other(self):
        moment = timezone.now()
        ages = {hours: moment - timedelta(hours=hours) for hours in (0, 12, 23, 26, 29)}
        for hours, at in ages.items():
            owner_runs(
                "INSERT INTO traces_span VALUES "  # noqa: S608 - no stranger's words
                f"('{uuid4().hex}{uuid4().hex[:16]}', {slot_of(at)}, '{uuid4().hex}', '', NULL,"
                f" 's', '{hours}', '{at.isoformat()}', 1, false, '{{}}')"
            )
        assert actions.drop_old_spans() == 2
        assert set(Span.objects.values_list("name", flat=True)) == {"0", "12", "23"}
        assert actions.drop_old_spans() == 0

    def test_slots_come_round(self):
        at = timezone.now()
        slots = [slot_of(at + timedelta(hours=number)) for number in range(SLOTS)]
        assert sorted(slots) == list(range(SLOTS))
        assert slot_of(at + timedelta(hours=SLOTS)) == slots[0]


class TestSpansOf:
    def test_finds_the_whole_trace_by_the_request_id(self, post):
        call, trace = uuid4(), uuid4().hex
        named = {"guid:x-request-id": str(call)}
        root = span(trace=trace, attributes=named, ago=12.0)
        inner = span(trace=trace, parent=root["id"], ago=11.0)
        stranger = span(attributes={"guid:x-request-id": str(uuid4())})
        assert post(batch(root, inner, stranger)).status_code == 200
        moment = timezone.now()
        found = spans_of(call, moment - timedelta(seconds=12), moment)
        assert [row.span_id for row in found] == [root["id"], inner["id"]]
        assert spans_of(uuid4(), moment, moment) == []

    def test_tells_nothing_that_is_older_than_a_day(self, post):
        call = uuid4()
        assert post(batch(span(attributes={"guid:x-request-id": str(call)}))).status_code == 200
        moment = timezone.now()
        assert len(spans_of(call, moment, moment)) == 1
        assert spans_of(call, moment, moment + timedelta(hours=24)) == []
