"""The guard within a call's transaction: bytes come in any pieces, and what a caller gets is whole
events, counted and recorded as they left.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.gateway.gate.steps import Does
from apps.gateway.gate.transaction import Steps, Transaction
from apps.gateway.guard.answers import InspectedAnswer
from tests.gateway.gate.passing import OpenGuard, OpenPurse, OpenRecord
from tests.gateway.guard.answering import NOW, call, chunk, end, read, rule, run, text_of, usage

SSN = "412-55-1098"
TEXT = f"The request meets the criteria. The SSN is {SSN}, as asked, and so it is approved. Done."
EVENTS = [chunk(TEXT[at : at + 3]) for at in range(0, len(TEXT), 3)]
RAW = b"".join(one.raw for one in [*EVENTS, chunk("", finish="stop"), usage(), end()])
SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=20)


class Guard(OpenGuard):
    def __init__(self, does: Does) -> None:
        self._does = does

    def answer(self, call):
        return InspectedAnswer(call, [rule(self._does)], "digest")


class Kept(OpenRecord):
    def __init__(self) -> None:
        self.answers: list = []

    async def answer(self, call, body, verdict, refusal, used) -> None:
        self.answers.append((body, verdict, refusal, used))


def streamed(does: Does, sizes: list[int]) -> tuple[bytes, Kept]:
    """Return what of a stream in pieces of these sizes leaves, and what is kept of it."""
    kept = Kept()

    async def all_of_it() -> bytes:
        passing = Transaction(Steps(OpenPurse(), Guard(does), kept), lambda: NOW)
        await passing.request(call("Hello"))
        passing.begins(200)
        sent, at, turn = b"", 0, 0
        while True:
            size = sizes[turn % len(sizes)]
            piece = await passing.piece(RAW[at : at + size], is_end=at + size >= len(RAW))
            sent, at, turn = sent + piece.data, at + size, turn + 1
            if piece.is_last:
                await passing.close()
                return sent

    return run(all_of_it()), kept


class TestPieces:
    @settings(max_examples=40, deadline=None)
    @given(SIZES)
    def test_of_a_masked_stream_are_whole_events_with_its_usage(self, sizes):
        sent, kept = streamed(Does.MASK, sizes)
        assert text_of(read(sent)) == TEXT.replace(SSN, "[REDACTED]")
        assert sent.endswith(usage().raw + end().raw)
        ((body, verdict, refusal, used),) = kept.answers
        assert (body, refusal, used.output_tokens) == (sent, None, 9)
        assert [one.does for one in verdict.findings] == [Does.MASK]

    @settings(max_examples=40, deadline=None)
    @given(SIZES)
    def test_of_a_blocked_stream_end_well_before_the_find(self, sizes):
        sent, kept = streamed(Does.BLOCK, sizes)
        *before, used, error, last = read(sent)
        assert (TEXT[: TEXT.index(SSN)]).startswith(text_of(before))
        assert used.document["choices"] == []
        assert used.document["usage"]["completion_tokens"] > 0
        assert error.document["error"]["code"] == "content_filter"
        assert last == end()
        assert "412" not in json.dumps(sent.decode())
        ((body, verdict, refusal, _),) = kept.answers
        assert (body, refusal.code) == (sent, "content_filter")
        assert [one.detector for one in verdict.findings] == ["US_SSN"]

    @settings(max_examples=40, deadline=None)
    @given(SIZES)
    def test_of_a_monitored_stream_are_its_bytes(self, sizes):
        sent, kept = streamed(Does.MONITOR, sizes)
        assert sent == RAW
        assert [one.detector for one in kept.answers[0][1].findings] == ["US_SSN"]
