"""How packets are asked: side by side, bounded, each call ending in one of the stated ways."""

import threading

import httpx
import pytest

from apps.evals.models import Side
from apps.evals.runs.asking import Asker, Call, Ended, answers
from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.types import Bounds
from tests.evals.engine_double import AWAY, CUT, ENDLESS, FAILS, PAGE, REFUSES, EngineDouble

ASKED = [{"role": "user", "content": "Packet:\nDiabetes (E11.9).\nReturn the diagnosis_codes."}]


def pairs(count):
    return [[Call(side, f"p{n}", ASKED) for side in Side] for n in range(count)]


class TestAnswers:
    def test_are_of_every_packet_of_both_sides_once(self):
        found = [
            (each.call.side, each.call.packet_id)
            for batch in answers(pairs(7), Ended, at_once=2, go_on=lambda: True)
            for each in batch
        ]
        assert sorted(found) == sorted((side, f"p{n}") for side in Side for n in range(7))

    def test_never_have_more_than_so_many_packets_under_way(self):
        lock, under_way, most, seen = threading.Lock(), {}, 0, set()

        def ask(call):
            nonlocal most
            with lock:
                under_way[call.side] = under_way.get(call.side, 0) + 1
                seen.add(threading.current_thread().name)
                most = max(most, *under_way.values())
            both.wait(timeout=5)  # the other side of the same packet is asked at the same time
            with lock:
                under_way[call.side] -= 1
            return Ended(call)

        both = threading.Barrier(2)
        list(answers(pairs(9), ask, at_once=1, go_on=lambda: True))
        assert most == 1
        assert threading.current_thread().name not in seen

    def test_begin_no_packet_any_more_once_time_is_up(self):
        asked = []
        calls = pairs(50)
        stream = answers(calls, lambda call: asked.append(call) or Ended(call), at_once=3,
                         go_on=lambda: False)  # fmt: skip
        assert sum(len(batch) for batch in stream) == 6
        assert len(asked) == 6


class TestAsker:
    def ask(self, **engine):
        double = EngineDouble(**engine)
        with double.client("http://engine") as client:
            asker = Asker({Side.CANDIDATE: client}, {Side.CANDIDATE: "m-v1"}, 90, self.BOUNDS)
            return double, asker.ask(Call(Side.CANDIDATE, "p1", ASKED))

    BOUNDS = Bounds(seconds=5, size=200_000)

    def test_tells_what_was_said_and_how_long_it_took(self):
        double, ended = self.ask()
        assert "E11.9" in ended.text
        assert (ended.problem, ended.has_stumbled) == ("", False)
        assert 0 <= ended.timing.ttft_ms <= ended.timing.latency_ms
        assert ended.timing.output_tokens == 9
        assert [model for model, _ in double.asked] == ["m-v1"]

    @pytest.mark.parametrize(
        ("how", "problem", "words"),
        [
            (ENDLESS, "ENDLESS", "longer than 200,000 bytes"),
            (PAGE, "NOT_A_STREAM", "text/html"),
            (CUT, "CUT_OFF", "before it was whole"),
            (REFUSES, "REFUSED", "(400): too long"),
        ],
    )
    def test_names_an_answer_that_is_none(self, how, problem, words):
        _, ended = self.ask(bad={"Diabetes": how})
        assert (ended.problem, ended.has_stumbled, ended.text) == (problem, False, "")
        assert words in ended.words

    def said(self, *chunks):
        """Return how a call ends that gets these lines of JSON."""
        text = "".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]"))
        transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
        with EngineClient("http://engine", transport=transport) as client:
            asker = Asker({Side.CANDIDATE: client}, {Side.CANDIDATE: "m-v1"}, 90, self.BOUNDS)
            return asker.ask(Call(Side.CANDIDATE, "p1", ASKED))

    @pytest.mark.parametrize(
        "chunk", ['{"choices": {"a": 1}}', '{"choices": ["x"]}', '{"usage": 7}', "[" * 100_000]
    )
    def test_names_json_that_is_no_chats(self, chunk):
        ended = self.said(chunk)
        assert (ended.problem, ended.text) == ("NOT_A_STREAM", "")
        assert "another shape" in ended.words

    def test_keeps_no_character_that_no_database_keeps(self):
        chunk = '{"choices": [{"delta": {"content": "%s"}}]}'
        ended = self.said(chunk % r"I10 \u0000 \ud83d", chunk % r"\ude00 \ud800 x")
        assert ended.text == "I10 \ufffd \U0001f600 \ufffd x"

    def test_lets_a_failing_engine_try_again(self):
        _, ended = self.ask(bad={"Diabetes": FAILS})
        assert (ended.problem, ended.has_stumbled, ended.is_away) == ("", True, False)
        assert "500" in ended.words

    def test_tells_an_engine_that_is_away(self):
        _, ended = self.ask(bad={"Diabetes": AWAY})
        assert (ended.has_stumbled, ended.is_away) == (True, True)
