"""Prometheus' text and a Prometheus server, as they answer."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.prometheus import client
from apps.integrations.prometheus.client import ExporterClient, PrometheusClient
from apps.integrations.prometheus.text import parse
from apps.integrations.prometheus.types import Point

TEXT = """
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m-v1"} 3.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{reason="capacity"} 9.0
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{engine="0"} 1200.0
vllm:prompt_tokens_created{engine="0"} 1.7e+09
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.001"} 0.0
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 2.0
vllm:time_to_first_token_seconds_count 2.0
vllm:time_to_first_token_seconds_sum 0.7
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc NaN
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{UUID="GPU-1"} 9223372036854775794
DCGM_FI_DEV_POWER_USAGE{UUID="GPU-2"} +Inf
DCGM_FI_DEV_POWER_USAGE{UUID="GPU-3",modelName="a \\"b\\""} 412.5
"""


class TestParse:
    def test_reads_exactly_the_metrics_that_are_asked_for(self):
        found = parse(
            TEXT,
            ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:prompt_tokens_total"],
        )
        assert [(point.name, point.value) for point in found] == [
            ("vllm:num_requests_running", 3.0),
            ("vllm:prompt_tokens_total", 1200.0),
        ]
        assert found[0].labels == {"engine": "0", "model_name": "m-v1"}

    def test_reads_a_histograms_buckets(self):
        found = parse(TEXT, ["vllm:time_to_first_token_seconds"])
        assert {point.labels["le"]: point.value for point in found if "le" in point.labels} == {
            "0.001": 0,
            "+Inf": 2,
        }

    def test_drops_what_is_no_figure(self):
        found = parse(TEXT, ["vllm:kv_cache_usage_perc", "DCGM_FI_DEV_POWER_USAGE"])
        assert [(point.labels["UUID"], point.value) for point in found] == [("GPU-3", 412.5)]
        assert found[0].labels["modelName"] == 'a "b"'

    def test_keeps_no_nul_which_no_database_takes(self):
        (found,) = parse('DCGM_FI_DEV_GPU_TEMP{pod="a\0b"} 1', ["DCGM_FI_DEV_GPU_TEMP"])
        assert found.labels == {"pod": "ab"}

    @pytest.mark.parametrize(
        "text", ['vllm:kv_cache_usage_perc{a="b" 1', "vllm:kv_cache_usage_perc one"]
    )
    def test_refuses_another_format(self, text):
        with pytest.raises(PermanentError, match="not in Prometheus' text format"):
            parse(text, ["vllm:kv_cache_usage_perc"])


def exporter(handler):
    return ExporterClient(transport=httpx.MockTransport(handler))


class TestExporterClient:
    def test_reads_an_endpoint(self):
        found = exporter(lambda request: httpx.Response(200, text=TEXT)).read(
            "http://10.1.2.3:8080/metrics", ["vllm:num_requests_running"]
        )
        assert [point.value for point in found] == [3.0]

    def test_tries_once(self):
        calls = []

        def broken(request):
            calls.append(request)
            return httpx.Response(503)

        with pytest.raises(TemporaryError, match="busy or broken"):
            exporter(broken).read("http://10.1.2.3/metrics", ["x"])
        assert len(calls) == 1

    def test_says_when_nobody_answers(self):
        def dead(request):
            raise httpx.ConnectError("refused")

        with pytest.raises(TemporaryError, match="cannot be reached"):
            exporter(dead).read("http://10.1.2.3/metrics", ["x"])

    def test_stops_at_an_answer_without_end(self, monkeypatch):
        monkeypatch.setattr(client, "MOST_BYTES", 1000)
        with pytest.raises(PermanentError, match="more than"):
            exporter(lambda request: httpx.Response(200, text="x" * 2000)).read(
                "http://10.1.2.3/metrics", ["x"]
            )


class PrometheusDouble(BaseHTTPRequestHandler):
    """Answers /api/v1/query as Prometheus documents it: envelopes, error types, statuses."""

    result: list[dict] = []
    token = ""

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query).get("query", [""])[0]
        if self.token and self.headers.get("authorization") != f"Bearer {self.token}":
            return self._say(
                401, {"status": "error", "errorType": "unauthorized", "error": "no credential"}
            )
        if url.path != "/api/v1/query":
            return self._say(
                404, {"status": "error", "errorType": "not_found", "error": "no such path"}
            )
        if not query or query.count("{") != query.count("}"):
            error = 'invalid parameter "query": 1:1: parse error: unexpected end of input'
            return self._say(400, {"status": "error", "errorType": "bad_data", "error": error})
        if query == "scalar(1)":
            return self._say(
                200, {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "1"]}}
            )
        return self._say(
            200, {"status": "success", "data": {"resultType": "vector", "result": self.result}}
        )

    def _say(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        return


@pytest.fixture
def prometheus(monkeypatch):
    """A double on a loopback port; its address."""
    monkeypatch.setattr(PrometheusDouble, "result", [])
    monkeypatch.setattr(PrometheusDouble, "token", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), PrometheusDouble) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(prometheus):
    """Asks the double one query."""
    made = []

    def ask(promql, **options):
        made.append(PrometheusClient(prometheus, **options))
        return made[-1].query(promql)

    yield ask
    for each in made:
        each.close()


class TestPrometheusClient:
    def test_returns_the_vector_without_what_is_no_figure(self, ask):
        PrometheusDouble.result = [
            {
                "metric": {"__name__": "vllm:num_requests_running", "pod": "p"},
                "value": [1735.1, "4"],
            },
            {
                "metric": {"__name__": "vllm:kv_cache_usage_perc", "pod": "p"},
                "value": [1735.1, "NaN"],
            },
        ]
        assert ask('{__name__=~"vllm:.*"}') == [
            Point("vllm:num_requests_running", {"pod": "p"}, 4.0)
        ]

    def test_repeats_the_servers_words_about_a_bad_query(self, ask):
        with pytest.raises(PermanentError, match="unexpected end of input"):
            ask("up{")

    def test_refuses_what_is_not_a_vector(self, ask):
        with pytest.raises(PermanentError, match="not a vector"):
            ask("scalar(1)")

    def test_sends_its_credential_and_never_says_it(self, ask):
        PrometheusDouble.token = "right"
        assert ask("up", token="right") == []
        with pytest.raises(PermanentError) as refused:
            ask("up", token="wrong-secret")
        assert "wrong-secret" not in str(refused.value)

    def test_refuses_a_series_that_cannot_be_read(self, ask):
        PrometheusDouble.result = [{"metric": {}, "value": []}]
        with pytest.raises(PermanentError, match="cannot be read"):
            ask("up")

    def test_waits_for_one_that_is_away(self):
        with pytest.raises(TemporaryError, match="Prometheus cannot be reached"):
            PrometheusClient("http://127.0.0.1:9").query("up")
