"""The surge: what it plans is bounded, and what it does is told."""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.local.stack import surge


class TestPlan:
    def test_is_the_same_each_time_and_busiest_in_its_middle(self):
        planned = surge.plan(minutes=10, rate=1.5, callers=3)
        assert planned == surge.plan(minutes=10, rate=1.5, callers=3)
        assert len(planned) == 900
        moments = [call.at for call in planned]
        assert moments == sorted(moments) and moments[0] >= 0 and moments[-1] < 600
        middle = sum(240 <= at < 300 for at in moments)
        assert middle > 5 * sum(at < 60 for at in moments)
        assert {call.caller for call in planned} == {0, 1, 2}

    @pytest.mark.parametrize(
        ("minutes", "rate", "count", "last"),
        [(10_000, 0.1, 180, 1800), (10, 10_000, 3000, 600), (1, 100, 1200, 60)],
    )
    def test_is_bounded_in_time_rate_and_number(self, minutes, rate, count, last):
        planned = surge.plan(minutes=minutes, rate=rate, callers=1)
        assert len(planned) == count
        assert planned[-1].at < last


class Gateway(BaseHTTPRequestHandler):
    """A gateway: clinical-summary has no grant, the other answers."""

    asked: list = []
    most, now, lock = 0, 0, threading.Lock()

    def do_POST(self):
        with Gateway.lock:
            Gateway.now += 1
            Gateway.most = max(Gateway.most, Gateway.now)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.headers["Authorization"], body["model"]))
        allowed = body["model"] == "prior-auth-extract"
        answer = json.dumps({"usage": {"total_tokens": 7}}).encode()
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        with Gateway.lock:
            Gateway.now -= 1

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def gateway(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    Gateway.asked, Gateway.most, Gateway.now = [], 0, 0
    address = f"http://127.0.0.1:{server.server_port}"
    status = {"issuer": "http://idp", "parts": [{"name": "envoy", "address": address}]}
    monkeypatch.setattr(surge, "read_status", lambda state: status)
    monkeypatch.setattr(
        surge, "access_token", lambda issuer, persona, audiences, team: f"{persona}-of-{team}"
    )
    yield Gateway
    server.shutdown()
    server.server_close()


def run(tmp_path, minutes=0.02, rate=20.0):
    return surge.surge(tmp_path, argparse.Namespace(minutes=minutes, rate=rate))


class TestSurge:
    def test_calls_for_those_who_may_and_says_what_came_of_it(self, gateway, tmp_path, capsys):
        assert run(tmp_path) == 0
        said = capsys.readouterr().out
        assert "maya gets 403 from clinical-summary: left out." in said
        assert "24 real calls" in said and "Ctrl-C stops it." in said
        assert "Done: 24 calls (24 x 200), 168 tokens." in said
        tried, calls = gateway.asked[:3], gateway.asked[3:]
        assert len(tried) == 3 and len(calls) == 24
        assert {model for _, model in calls} == {"prior-auth-extract"}
        assert {who for who, _ in calls} == {
            "Bearer liam-of-prior-auth",
            "Bearer maya-of-claims-review",
        }
        assert gateway.most <= surge.AT_ONCE

    def test_stops_where_nobody_may_call(self, gateway, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(surge, "CALLERS", (("maya", "claims-review", "clinical-summary"),))
        assert run(tmp_path) == 1
        assert "approve access and roll a version out first" in capsys.readouterr().out
        assert len(gateway.asked) == 1

    def test_stops_on_ctrl_c(self, gateway, tmp_path, capsys, monkeypatch):
        waited = []

        def interrupted(moment):
            waited.append(moment)
            if len(waited) == 5:
                raise KeyboardInterrupt

        monkeypatch.setattr(surge, "_wait_until", interrupted)
        assert run(tmp_path) == 0
        assert "Stopped." in capsys.readouterr().out
        assert len(gateway.asked) == 3 + 4

    def test_needs_a_stack(self, tmp_path, capsys):
        assert run(tmp_path) == 1
        assert "make up" in capsys.readouterr().err
