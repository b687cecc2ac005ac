"""What the portal's own processes tell of themselves, and that no word of anybody's is in it."""

import asyncio
import contextlib
import json
import logging

import httpx
import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, get_tracer_provider

from apps.accounts.models import User
from apps.common import spans
from apps.common.logs import JsonFormatter
from apps.common.request_ids import RequestIdFilter
from apps.integrations.envoy.server import Patience, Processor
from apps.integrations.http import HttpClient
from apps.integrations.otlp import sending
from apps.integrations.otlp.client import OtlpClient, headers_of
from apps.integrations.otlp.exporter import batch_of
from apps.traces.otlp import read_batch
from tests.canaries import canary
from tests.factories import TeamFactory, UserFactory
from tests.integrations.envoy_talk import (
    Judge,
    answer_body,
    answer_headers,
    request_body,
    request_headers,
)
from tests.integrations.test_envoy_server import Aborted, Wire
from worker.tasks.traces import drop_old_spans

ENDPOINT = "http://collector.test:4318"


class Told:
    """An endpoint: what came to it."""

    def __init__(self):
        self.requests, self.status = [], 200
        client = OtlpClient(
            f"{ENDPOINT}/", headers_of("dd-api-key=abc, x = y"), httpx.MockTransport(self.take)
        )
        self.provider = sending.provider_for("portal", client)

    def take(self, request):
        self.requests.append(request)
        return httpx.Response(self.status)

    @property
    def raw(self):
        self.provider.force_flush()
        return b"".join(request.content for request in self.requests)

    @property
    def spans(self):
        self.provider.force_flush()
        bodies = [request.content for request in self.requests]
        found = [read_batch(body) for body in bodies]
        assert not any(batch.unreadable for batch in found)
        return [span for batch in found for span in batch.spans]


@pytest.fixture
def told(committed, monkeypatch, settings):
    """Everything is told to an endpoint, as in a process that was started so."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE]
    found = Told()
    monkeypatch.setattr(spans, "_tracer", found.provider.get_tracer("quartermaster"))
    connection.close()
    sending.instrument(found.provider)
    yield found
    for one in (DjangoInstrumentor(), CeleryInstrumentor(), PsycopgInstrumentor()):
        one.uninstrument()
    connection.close()
    found.provider.shutdown()


def person():
    return UserFactory(username="tess", team=TeamFactory(slug="testers"), with_roles=["DEVELOPER"])


class TestPages:
    def test_are_one_trace_with_their_statements_under_the_request_s_id(self, told):
        client = Client()
        client.force_login(person())
        told.provider.force_flush()
        told.requests.clear()
        answer = client.get(reverse("gateway:why"), headers={"traceparent": "nonsense"})
        assert answer.status_code == 200
        (page,) = [one for one in told.spans if one.name == "GET gateway/why/"]
        assert str(page.known.request_id) == answer["X-Request-Id"]
        assert page.known.facts["status"] == 200
        statements = [one for one in told.spans if one.name == "SELECT"]
        assert len(statements) >= 3
        assert {one.trace_id for one in statements} == {page.trace_id}
        assert {one.parent_id for one in statements} == {page.span_id}
        (request, *_) = told.requests
        assert str(request.url) == f"{ENDPOINT}/v1/traces"
        assert (request.headers["dd-api-key"], request.headers["x"]) == ("abc", "y")

    def test_tell_no_word_of_anybody(self, told):
        words = [canary(way) for way in ("query", "body", "path", "cookie", "agent", "parameter",
                                         "exception", "header")]  # fmt: skip
        query, body, path, cookie, agent, parameter, exception, header = (w.word for w in words)
        client = Client(raise_request_exception=False, headers={"user-agent": agent})
        client.force_login(person())
        client.cookies["other"] = cookie
        client.get(f"/gateway/why/?caller={query}&model={query}")
        client.get(f"/usage/?q={query}")
        client.post("/account/no-such/", {"reason": body}, headers={"x-mine": header})
        client.get(f"/no/such/{path}")
        client.post("/v1/logs", body, content_type="text/plain", headers={"authorization": header})
        assert not User.objects.filter(name=parameter).exists()
        with pytest.raises(ValueError, match="canary"), spans.step("step"):
            raise ValueError(exception)
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO accounts_team (slug, name) SELECT slug, %s FROM accounts_team",
                [parameter],
            )
        assert len(told.spans) > 10
        raw = told.raw
        assert b"ValueError" not in raw and b"INSERT INTO" not in raw and b"accounts_" not in raw
        assert [one.way for one in words if one.is_in(raw)] == []

    def test_that_collectors_and_probes_ask_for_are_not_told(self, told):
        client = Client()
        assert client.get("/healthz").status_code in (200, 503)
        assert client.post("/v1/traces", b"", content_type="text/plain").status_code == 401
        assert told.spans == []


class TestTasks:
    def test_are_told_with_their_statements(self, told):
        drop_old_spans.apply()
        (task,) = [one for one in told.spans if one.name == "run/traces.drop_old_spans"]
        assert task.known.facts["task"] == "traces.drop_old_spans"
        statements = [one for one in told.spans if one.parent_id == task.span_id]
        assert "SELECT" in {one.name for one in statements}

    def test_tell_of_calls_to_others_by_their_names_alone(self, told):
        word = canary("address").word

        def answer(_):
            return httpx.Response(200, json={})

        client = HttpClient(
            name="The bucket's owner", base_url="http://other.test",
            transport=httpx.MockTransport(answer),
        )  # fmt: skip
        provider = told.provider.get_tracer("t")
        with provider.start_as_current_span("outside"):
            client.request("GET", f"/{word}?q={word}")
        assert {one.name for one in told.spans} == {"outside", "GET The bucket's owner"}
        assert word.encode() not in told.raw


class TestSteps:
    def test_continue_the_trace_that_is_handed_on(self, told):
        carrier = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        step = spans.Step("judge", carrier)
        assert step.is_told
        step.tell({"verdict": "passed", "input_tokens": 12.0, "unknown": "x", "retry_after": 3})
        step.end(failed=True)
        (only,) = told.spans
        assert (only.trace_id, only.parent_id, only.failed) == ("ab" * 16, "cd" * 8, True)
        assert only.known.facts == {"verdict": "passed", "input_tokens": 12}

    def test_of_the_gate_tell_of_each_call_what_it_noted(self, told):
        call, notes = (
            "7b0e1f7a-0000-4000-8000-00000000000a",
            {"verdict": "passed", "basis": "USAGE"},
        )
        word = canary("body").word
        tokens = {"input_tokens": 1200.0, "output_tokens": 30.0, "retry_after": 7.0}
        judge = Judge(notes=notes | tokens)
        sent = [
            request_headers(), request_body(word.encode()), answer_headers(),
            answer_body(word.encode()),
        ]  # fmt: skip
        sent[0].request_headers.headers.headers.add(key="x-request-id", raw_value=call.encode())
        metadata = (("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"), ("x", word))

        async def serve(messages):
            processor = Processor(lambda: judge, Patience(1, 5))
            wire = Wire(messages, metadata=metadata)
            with contextlib.suppress(Aborted):
                await processor.Process(None, wire)
            await processor.closed()

        asyncio.run(serve(sent))
        (whole,) = told.spans
        assert (whole.service, whole.name) == ("portal", "judge")
        assert (whole.trace_id, whole.parent_id) == ("ab" * 16, "cd" * 8)
        assert str(whole.known.request_id) == call
        assert whole.known.facts == {
            "verdict": "passed", "basis": "USAGE", "input_tokens": 1200, "output_tokens": 30,
        }  # fmt: skip
        assert not whole.failed
        assert word.encode() not in told.raw
        asyncio.run(serve(sent[:1]))
        assert [one.failed for one in told.spans] == [False, True]

    def test_are_not_told_where_the_trace_is_not_wanted(self, told):
        step = spans.Step("judge", {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"})
        assert not step.is_told
        step.end()
        assert told.spans == []

    def test_are_dropped_where_nobody_takes_them(self, told):
        told.status = 503
        with told.provider.get_tracer("t").start_as_current_span("outside"):
            assert len(spans.current_trace_id()) == 32
        assert len(told.spans) == 1  # sent once, and not again
        told.provider.force_flush()
        assert len(told.requests) == 1


class TestBatchOf:
    def test_lets_no_more_leave_than_the_list_names(self):
        word = canary("everywhere").word
        provider = TracerProvider(resource=Resource({"service.name": "portal", "host.name": word}))
        span = provider.get_tracer("t").start_span(f"GET /{word}?x=1 OR 2", attributes={
            "http.route": "usage/", "http.status_code": 200, "http.url": f"http://p/?q={word}",
            "db.statement": f"SELECT '{word}'", "http.user_agent": word, "celery.args": word,
            "error.type": f"a {word}", "quartermaster.request_id": word,
        })  # fmt: skip
        span.add_event("exception", {"exception.message": word})
        span.set_status(Status(StatusCode.ERROR, word))
        span.end()
        raw = batch_of([span])
        assert word.encode() not in raw
        (found,) = read_batch(raw).spans
        assert (found.name, found.failed) == ("(no name)", True)
        assert found.known.facts == {"route": "usage/", "status": 200}
        assert found.known.request_id is None


class TestStart:
    def test_tells_nothing_where_no_endpoint_is_named(self, settings):
        assert settings.OTEL_EXPORTER_OTLP_ENDPOINT == ""
        before = get_tracer_provider()
        sending.start("portal")
        sending.start_steps("gate")
        assert get_tracer_provider() is before
        assert not DjangoInstrumentor().is_instrumented_by_opentelemetry
        step = spans.Step("judge", {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
        assert not step.is_told
        step.end()
        assert spans.current_trace_id() == ""


class TestJsonLines:
    def line(self, record):
        RequestIdFilter().filter(record)
        text = JsonFormatter().format(record)
        assert "\n" not in text
        return json.loads(text)

    def test_tell_the_request_and_the_trace(self, told):
        record = logging.makeLogRecord(
            {"name": "apps.x", "levelname": "INFO", "msg": "%d\nlines", "args": (2,)}
        )
        with told.provider.get_tracer("t").start_as_current_span("outside"):
            found = self.line(record)
        assert (found["message"], found["logger"], found["level"]) == ("2\nlines", "apps.x", "INFO")
        assert (found["request_id"], len(found["trace_id"])) == ("-", 32)
        assert self.line(record)["trace_id"] == "-"

    def test_tell_of_an_exception_its_kind_and_place_and_no_word(self):
        word = canary("exception").word
        try:
            raise ValueError(word)
        except ValueError as error:
            info = (type(error), error, error.__traceback__)
        found = self.line(logging.makeLogRecord({"msg": "failed", "exc_info": info}))
        assert found["error"] == "ValueError"
        assert "test_otlp.py" in found["where"][-1]
        assert word not in json.dumps(found)
