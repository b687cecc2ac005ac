"""Reading usage from answers, whole and streamed."""

import json

import pytest

from deploy.local.gateway.usage import PlainReader, StreamReader, Usage, usage_of

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def event(**fields):
    """One server-sent event."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def text(content):
    """An event with a piece of the answer."""
    return event(model="m-v1", choices=[{"delta": {"content": content}}])


class TestUsageOf:
    def test_reads_all_numbers(self):
        details = {
            "prompt_tokens_details": {"cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }
        assert usage_of({"usage": {**USAGE, **details}}) == Usage(10, 6, 4, 14, 2)

    def test_adds_up_where_no_total_is_given(self):
        assert usage_of({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}).total_tokens == 5

    @pytest.mark.parametrize(
        "answer",
        [
            *(
                {},
                {"usage": None},
                {"usage": {}},
                {"usage": "much"},
                {"usage": {"prompt_tokens": "many"}},
            ),
            *({"usage": {"prompt_tokens": -1}}, {"usage": {"prompt_tokens": [1]}}),
        ],
    )
    def test_is_nothing_where_nothing_is_said(self, answer):
        assert usage_of(answer) is None

    def test_knows_each_kind_of_cost(self):
        usage = Usage(1, 2, 3, 4, 5)
        kinds = ("InputToken", "CachedInputToken", "OutputToken", "TotalToken", "ReasoningToken")
        assert [usage.of(kind) for kind in kinds] == [1, 2, 3, 4, 5]


class TestPlainReader:
    def test_reads_an_answer_in_pieces(self):
        reader = PlainReader(usage_of)
        raw = json.dumps({"model": "m-v1", "usage": USAGE}).encode()
        reader.feed(raw[:20], 0.0)
        reader.feed(raw[20:], 1.0)
        reader.finish()
        assert (reader.model, reader.usage.total_tokens) == ("m-v1", 14)

    def test_takes_anything_else_as_no_usage(self):
        reader = PlainReader(usage_of)
        reader.feed(b"<html>", 0.0)
        reader.finish()
        assert (reader.model, reader.usage) == ("", None)


class TestStreamReader:
    def test_reads_events_wherever_they_are_cut(self):
        raw = (
            text("a")
            + text("b")
            + event(model="m-v1", choices=[], usage=USAGE)
            + b"data: [DONE]\n\n"
        )
        for size in (1, 7, 64, len(raw)):
            reader = StreamReader()
            for start in range(0, len(raw), size):
                reader.feed(raw[start : start + size], float(start))
            reader.finish()
            assert (reader.model, reader.usage.total_tokens) == ("m-v1", 14)

    def test_lets_the_last_usage_win(self):
        reader = StreamReader()
        first = {**USAGE, "total_tokens": 1}
        reader.feed(event(choices=[], usage=first) + event(choices=[], usage=USAGE), 0.0)
        assert reader.usage.total_tokens == 14

    def test_takes_the_first_text_as_the_first_token(self):
        reader = StreamReader()
        reader.feed(event(choices=[{"delta": {"role": "assistant"}}]), 1.0)
        assert reader.first_at is None
        reader.feed(text("a"), 2.0)
        reader.feed(text("b"), 5.0)
        reader.feed(event(choices=[], usage=USAGE), 9.0)
        assert (reader.first_at, reader.last_at) == (2.0, 5.0)

    @pytest.mark.parametrize(
        "raw", [b"data: 7\n", b"data: {\n", b"data: " + b"[" * 100_000 + b"\n", b"\xff\n"]
    )
    def test_is_not_thrown_by_odd_events(self, raw):
        reader = StreamReader()
        reader.feed(raw + event(choices="x") + event(choices=[1, {"delta": 2}]), 0.0)
        reader.finish()
        assert reader.usage is None

    def test_reads_a_last_event_without_a_line_end(self):
        reader = StreamReader()
        reader.feed(event(choices=[], usage=USAGE).rstrip(), 0.0)
        reader.finish()
        assert reader.usage.total_tokens == 14
