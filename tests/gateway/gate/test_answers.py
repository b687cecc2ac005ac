"""Events of a stream, wherever its pieces are cut; and what an answer used, however it ended."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.gate.answers import (
    BYTES_A_TOKEN,
    Counter,
    Ending,
    Event,
    Splitter,
    Used,
    told_by,
)  # fmt: skip
from apps.gateway.gate.calls import Text
from apps.gateway.gate.refusals import Refusal
from apps.metering.gate.counts import Basis
from apps.metering.models import Completeness
from tests.gateway.gate.test_transaction import a_call

LINES = [
    b"data: {}", b'data: {"a": 1}', b"data:[DONE]", b": a comment", b"event: x", b"data", b"id: 1",
    b'data: {"a":', b"data: 1}", b"garbage", b"data: \xff", b"", b"\xef\xbb\xbfdata: {}",
]  # fmt: skip
STREAMS = st.lists(
    st.sampled_from([*LINES, b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]), max_size=14
).map(b"".join)


def whole(data: bytes) -> list[Event]:
    splitter = Splitter()
    return splitter.feed(data) + splitter.end()


def documents(data: bytes) -> list[Any]:
    return [event.document for event in whole(data)]


class TestSplitting:
    @given(STREAMS, st.data())
    def test_is_the_same_wherever_the_pieces_are_cut(self, stream, data):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        splitter, found = Splitter(), []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            found += splitter.feed(stream[start:end])
        found += splitter.end()
        assert found == whole(stream)
        assert b"".join(event.raw for event in found) == stream

    @given(STREAMS)
    def test_is_the_same_byte_by_byte_and_each_event_comes_as_soon_as_it_is_whole(self, stream):
        splitter, found = Splitter(), []
        for at in range(len(stream)):
            found += splitter.feed(stream[at : at + 1])
            rest = stream[sum(len(event.raw) for event in found) : at + 1]
            assert not re.search(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)[^\n]", rest)
        assert found + splitter.end() == whole(stream)

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_knows_every_end_of_line(self, end):
        stream = b'data: {"a": 1}' + end * 2 + b": hi" + end * 2 + b"data: [DONE]" + end * 2
        assert [event.raw for event in whole(stream)] == [
            b'data: {"a": 1}' + end * 2, b": hi" + end * 2, b"data: [DONE]" + end * 2,
        ]  # fmt: skip
        assert documents(stream) == [{"a": 1}, None, None]

    @pytest.mark.parametrize(
        ("event", "document"),
        [
            (b'data: {"a":\ndata: 1}\n\n', {"a": 1}),
            (b'event: x\nid: 7\ndata:{"a":1}\nretry: 5\n\n', {"a": 1}),
            (b'\xef\xbb\xbfdata: {"a":1}\n\n', {"a": 1}),
            (b'\ndata: {"a":1}\n\n', {"a": 1}),
            (b'data: {"a":1}', {"a": 1}),
            (b'data: {"a":1}\ntrailing', {"a": 1}),
            (b"data: {\"a\": \"\xff\"}\n\n", {"a": "\ufffd"}),
            (b"data: [1]\n\n", None),
            (b"data: 7\n\n", None),
            (b"data: [DONE]\n\n", None),
            (b'{"a": 1}\n\n', None),
            (b' data: {"a":1}\n\n', None),
            (b'datas: {"a":1}\n\n', None),
            (b"data: {\n\n", None),
            (b"data: " + b"[" * 100_000 + b"\n\n", None),
        ],
    )  # fmt: skip
    def test_reads_the_document_of_an_event(self, event, document):
        assert [found for found in documents(event) if found is not None] == (
            [] if document is None else [document]
        )

    def test_takes_a_byte_order_mark_at_the_start_alone(self):
        event = b'\xef\xbb\xbfdata: {"a":1}\n\n'
        assert documents(event * 2) == [{"a": 1}, None]

    def test_of_nothing_is_nothing(self):
        assert whole(b"") == []

    @pytest.mark.parametrize("pieces", [1, 7, 500])
    def test_bounds_the_length_of_an_event(self, pieces):
        fits = b"data: " + b"x" * 92 + b"\n\n"
        stream = fits + b"y" + fits
        splitter = Splitter(longest=100)
        with pytest.raises(Refusal) as refused:
            for start in range(0, len(stream), pieces):
                splitter.feed(stream[start : start + pieces])
        assert (refused.value.status, refused.value.code) == (502, "answer_unreadable")
        assert "longer than 100 bytes" in refused.value.message
        assert [event.raw for event in Splitter(longest=100).feed(fits * 3)] == [fits] * 3


def usage(prompt: Any, made: Any, **details: Any) -> dict[str, Any]:
    told = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": 0}
    return told | ({"prompt_tokens_details": details} if details else {})


def says(text: str = "word", index: int = 0, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}}], **more}


def stream(*found: Any, ending: Ending = Ending.WHOLE, **call: Any) -> Used:
    counter = Counter(a_call(stream=True, **call))
    for document in found:
        counter.see(Event(b"", document))
    return counter.used(ending)


def plain(document: Any, ending: Ending = Ending.WHOLE, **call: Any) -> Used:
    counter = Counter(a_call(**call))
    counter.whole(document)
    return counter.used(ending)


COMPLETE, EARLY = Completeness.COMPLETE, Completeness.ENDED_EARLY
ABORTED, FAILED = Completeness.ABORTED, Completeness.FAILED
END = {"choices": [], "usage": usage(9, 4, cached_tokens=2)}


class TestAWholeAnswer:
    def test_is_used_as_its_engine_says(self):
        used = Used(Basis.USAGE, COMPLETE, 9, 2, 4)
        assert plain({**says(), "usage": END["usage"]}) == used
        assert stream(says(), says(), END, None) == used
        assert stream(says(), says(), END, None, ending=Ending.LEFT) == used
        assert stream(says(), END, ending=Ending.STOPPED) == used

    def test_knows_no_cached_tokens_where_none_are_told(self):
        for details in ({}, {"other": 1}, {"cached_tokens": None}, {"cached_tokens": "2"}):
            told = {"usage": usage(9, 4, **details)}
            assert plain(told) == Used(Basis.USAGE, COMPLETE, 9, None, 4)
        assert plain({"usage": usage(9, 4, cached_tokens=0)}).cached_input_tokens == 0
        told = {"usage": {**usage(9, 4), "prompt_tokens_details": None}}
        assert plain(told).cached_input_tokens is None

    def test_has_its_reasoning_in_its_output(self):
        told = usage(9, 40) | {"completion_tokens_details": {"reasoning_tokens": 30}}
        assert plain({"usage": told}).output_tokens == 40

    def test_of_several_choices_has_their_sum_from_the_last_event_alone(self):
        running = [says("a", index, usage=usage(9, 10)) for index in (0, 1)]
        assert stream(*running, END, n=2) == Used(Basis.USAGE, COMPLETE, 9, 2, 4)

    @pytest.mark.parametrize("count", ["4", 4.0, True, -1, None, 2**53, [4]])
    def test_with_odd_figures_is_estimated(self, count):
        assert plain({**says(), "usage": usage(9, count)}).basis == Basis.ESTIMATED
        assert plain({**says(), "usage": usage(count, 4)}).basis == Basis.ESTIMATED
        assert stream(says(), {"choices": [], "usage": usage(9, count)}).basis == Basis.ESTIMATED
        assert plain({"usage": usage(2**53 - 1, 0)}).input_tokens == 2**53 - 1

    @pytest.mark.parametrize("odd", [None, [], "9", 7, {}])
    def test_with_odd_usage_is_estimated(self, odd):
        assert plain({**says(), "usage": odd}) == Used(Basis.ESTIMATED, EARLY, 1, None, 1)
        assert told_by({"usage": None, "meta": odd}) is None

    def test_of_an_embedding_has_no_output(self):
        told = {"data": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}}
        assert plain(told, operation="EMBEDDING") == Used(Basis.USAGE, COMPLETE, 9, None, 0)
        assert plain({"data": []}, operation="EMBEDDING") == Used(
            Basis.ESTIMATED, EARLY, 1, None, 0
        )
        left = Counter(a_call(operation="EMBEDDING")).used(Ending.LEFT)
        assert left == Used(Basis.ESTIMATED, ABORTED, 1, None, 0)

    def test_of_a_rerank_tells_what_it_tells(self):
        def told(document: dict[str, Any]) -> tuple[Any, ...]:
            used = plain(document, operation="RERANK")
            return used.basis, used.completeness, used.input_tokens, used.output_tokens

        cohere = {"meta": {"tokens": {"input_tokens": 7, "output_tokens": 0}}}
        assert told(cohere) == (Basis.USAGE, COMPLETE, 7, 0)
        assert told({"usage": {"prompt_tokens": 8}}) == (Basis.USAGE, COMPLETE, 8, None)
        assert told({"results": []}) == (Basis.ESTIMATED, EARLY, 1, 0)


class TestAStreamThatTellsAsItGoes:
    def test_is_counted_up_to_where_it_was_cut(self):
        found = [says(usage=usage(9, made, cached_tokens=3)) for made in (1, 2, 5)]
        assert stream(*found, ending=Ending.LEFT) == Used(Basis.COUNTED, ABORTED, 9, 3, 5)
        assert stream(*found, ending=Ending.STOPPED) == Used(Basis.COUNTED, EARLY, 9, 3, 5)
        assert stream(*found, ending=Ending.BROKEN) == Used(Basis.COUNTED, FAILED, 9, 3, 5)

    def test_counts_each_choice_by_its_own_maximum(self):
        made = [(0, 3), (1, 1), (0, 2), (2, 7), (1, 4)]
        found = [says("a", index, usage=usage(9, tokens)) for index, tokens in made]
        assert stream(*found, ending=Ending.LEFT, n=3) == Used(Basis.COUNTED, ABORTED, 9, None, 14)

    def test_that_ends_without_a_last_word_is_whole_where_all_of_it_was_told(self):
        told = says(usage=usage(9, 2))
        assert stream(told, told) == Used(Basis.COUNTED, COMPLETE, 9, None, 2)
        assert stream(told, says()) == Used(Basis.COUNTED, EARLY, 9, None, 2)
        other = says("b", 1)
        assert stream(told, other, n=2) == Used(Basis.COUNTED, EARLY, 9, None, 2)

    def test_ignores_a_piece_with_odd_figures(self):
        found = [says(usage=usage(9, 2)), says(usage=usage(9, "3")), says(usage=usage(9, None))]
        assert stream(*found, ending=Ending.LEFT).output_tokens == 2

    def test_that_an_error_ended_has_failed(self):
        error = {"error": {"message": "boom"}}
        assert stream(says(usage=usage(9, 2)), error) == Used(Basis.COUNTED, FAILED, 9, None, 2)
        assert stream(says(), error).completeness == FAILED
        assert stream(says(), error, ending=Ending.LEFT).completeness == ABORTED


class TestAStreamThatTellsNothing:
    def test_has_a_token_for_each_piece_with_text_at_least(self):
        found = [says("a"), says(""), says("b"), {"choices": []}, None, says("c", 1)]
        used = stream(*found, ending=Ending.LEFT)
        assert used == Used(Basis.ESTIMATED, ABORTED, 1, None, 3)

    def test_has_more_where_a_piece_brings_many(self):
        assert stream(says("x" * 50), ending=Ending.LEFT).output_tokens == 10
        assert stream(says("x" * 51), ending=Ending.LEFT, max_tokens=None).output_tokens == 11
        # bytes, not characters; half of a pair is a byte
        assert stream(says("é" * 10), ending=Ending.LEFT).output_tokens == 4
        assert stream(says("\ud800" * 10), ending=Ending.LEFT).output_tokens == 2

    def test_has_no_more_than_was_asked_for(self):
        assert stream(says("x" * 500), max_tokens=7).output_tokens == 7
        both = [says("x" * 500), says("x" * 500, 1)]
        assert stream(*both, max_tokens=7, n=2).output_tokens == 14

    @pytest.mark.parametrize(
        "choice",
        [
            {"text": "ab"},
            {"delta": {"reasoning": "ab"}},
            {"delta": {"reasoning_content": "ab"}},
            {"delta": {"refusal": "ab"}},
            {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "ab"}}]}},
            {"delta": {"tool_calls": [{"index": 0, "function": {"name": "ab"}}]}},
            {"delta": {"content": "ab", "role": "assistant"}, "text": None},
            {"message": {"content": "ab"}},
        ],
    )
    def test_counts_whatever_the_model_writes(self, choice):
        assert stream({"choices": [choice]}, ending=Ending.LEFT).output_tokens == 1

    @pytest.mark.parametrize(
        "document",
        [
            {}, {"choices": None}, {"choices": "ab"}, {"choices": {}}, {"choices": ["ab", 7, None]},
            {"choices": [{"delta": "ab"}]}, {"choices": [{"delta": {"content": 7}}]},
            {"choices": [{"delta": {"tool_calls": "ab"}}]}, {"choices": [{"text": ["ab"]}]},
            {"choices": [{"delta": {"tool_calls": [7, {"function": "ab"}, {"function": {}}]}}]},
            {"choices": [{"delta": {"role": "assistant"}, "finish_reason": "stop"}]},
        ],
    )  # fmt: skip
    def test_survives_odd_pieces(self, document):
        used = stream(document, ending=Ending.LEFT)
        assert (used.basis, used.output_tokens) == (Basis.ESTIMATED, 0)

    def test_tells_choices_without_a_number_apart_by_their_place(self):
        document = {"choices": [{"text": "abcdef"}, {"index": "x", "text": "abcdef"}]}
        assert stream(document, says("ghij", 1), ending=Ending.LEFT).output_tokens == 4
        assert stream(document, says("ghij", 0), ending=Ending.LEFT).output_tokens == 4
        assert stream(document, says("ghij", 2), ending=Ending.LEFT).output_tokens == 5

    @given(st.lists(st.text(min_size=1, max_size=12), max_size=8))
    def test_lies_between_its_pieces_and_its_bytes(self, words):
        used = stream(*map(says, words), ending=Ending.LEFT, max_tokens=None)
        size = sum(len(word.encode(errors="replace")) for word in words)
        assert used.output_tokens == max(len(words), math.ceil(size / BYTES_A_TOKEN))
        assert len(words) <= used.output_tokens <= max(size, len(words))

    def test_estimates_what_it_read_from_the_texts(self):
        texts = (Text("a", "user", "x" * 11), Text("b", "user", "é" * 5))
        assert stream(texts=texts, ending=Ending.LEFT).input_tokens == 5
        assert stream(texts=texts, has_images=True, ending=Ending.LEFT).input_tokens is None
        assert stream(texts=(), ending=Ending.LEFT).input_tokens is None

    def test_is_whole_only_where_something_was_told(self):
        assert stream(says()) == Used(Basis.ESTIMATED, EARLY, 1, None, 1)
        assert stream() == Used(Basis.ESTIMATED, EARLY, 1, None, 0)


class TestAPlainAnswerThatNeverCame:
    @pytest.mark.parametrize("ending", [Ending.LEFT, Ending.BROKEN])
    def test_was_being_made_and_nobody_knows_how_much(self, ending):
        used = Counter(a_call()).used(ending)
        assert (used.basis, used.output_tokens) == (Basis.ESTIMATED, None)
        assert json.dumps(used.completeness) == ('"ABORTED"' if ending == "LEFT" else '"FAILED"')
