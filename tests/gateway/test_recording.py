"""The gate's step that keeps calls: in the transaction, with the real record behind it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from apps.gateway.gate.answers import NOTHING_USED, Used
from apps.gateway.gate.calls import Call, Caller
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Away, Does, Finding, Verdict
from apps.gateway.recording import PromptRecording
from apps.metering.gate.counts import Basis
from apps.metering.models import Completeness
from apps.prompts.capture import link
from apps.prompts.models import PromptRecord
from tests.prompts.samples import AT, member, opened, recorder

CALL = Call(
    id=uuid4(), at=AT, path="/v1/chat/completions", operation="CHAT", model="extract", stream=False,
    caller=Caller("sub-1", "claims-review", "CC-1", datetime(2030, 1, 1, tzinfo=UTC)), n=1,
    max_tokens=10, has_images=False, continuous_usage=False, texts=(), body=b'{"prompt": "Jane"}',
    subject=member(),
)  # fmt: skip
FOUND = Finding("no-ssn", "US_SSN", Does.BLOCK, "request", "prompt")
REFUSED = Refusal(400, "invalid_request_error", "content_filter", "Refused.")
USED = Used(Basis.USAGE, Completeness.COMPLETE, 3, 0, 4)


def run(*steps):
    """Let the step keep calls, one after the other."""

    async def all_of_it():
        async with recorder() as made:
            step = PromptRecording(made)
            for one in steps:
                await one(step)

    asyncio.run(all_of_it())


@pytest.mark.usefixtures("committed")
class TestPromptRecording:
    def test_keeps_what_the_caller_sent_and_got(self):
        call = replace(CALL, id=uuid4())
        run(
            lambda step: step.request(call, Verdict("sha256:r"), None),
            lambda step: step.answer(call, b'{"got": 1}', Verdict("sha256:r"), None, USED),
        )
        record = PromptRecord.objects.get(call_id=call.id)
        assert (record.outcome, record.data_key.token) == ("ANSWERED", member().token)
        assert {text.phase: opened(text) for text in record.texts.all()} == {
            "REQUEST": call.body, "ANSWER": b'{"got": 1}',
        }  # fmt: skip

    def test_keeps_refused_calls_with_what_refused_them(self):
        call = replace(CALL, id=uuid4(), subject=None)
        run(lambda step: step.request(call, Verdict("sha256:r", (FOUND,)), REFUSED))
        record = PromptRecord.objects.get()
        assert (record.outcome, record.refused_by) == ("REFUSED", "content_filter")
        assert record.rules_hit == ["no-ssn"] and record.data_key.kind == "TEAM"
        assert "Jane" not in str(record.verdict)

    @pytest.mark.parametrize(
        ("refusal", "used", "outcome"),
        [(None, USED, "ANSWERED"), (None, NOTHING_USED, "UNSERVED"), (REFUSED, USED, "CUT")],
    )
    def test_says_what_became_of_it(self, refusal, used, outcome):
        call = replace(CALL, id=uuid4())
        run(lambda step: step.answer(call, b"x", Verdict(), refusal, used))
        assert PromptRecord.objects.get().outcome == outcome

    def test_says_away_in_the_gates_words(self):
        async def refused():
            async with recorder() as made:
                made._writer._link = link.Link(lambda: "host=127.0.0.1 port=1")
                await PromptRecording(made).request(CALL, Verdict(), None)

        with pytest.raises(Away, match="database does not answer"):
            asyncio.run(refused())


class TestFromSettings:
    def test_names_a_key_that_is_missing(self, settings):
        settings.PROMPT_KEY_FILE = ""
        with pytest.raises(ValueError, match="PROMPT_KEY_FILE is not set"):
            PromptRecording.from_settings()
