"""What of an answer leaves: nothing that a rule blocks, other words where it masks, all of it where
it monitors; plain and streamed, however a stream is cut.
"""

import asyncio
import json
import time

import pytest

from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Blocked, Does, Finding
from apps.gateway.guard.answers import InspectedAnswer
from apps.gateway.guard.detectors.hits import Hit
from apps.gateway.guard.detectors.secrets import secrets
from apps.gateway.guard.inspection import NOT_INSPECTED
from apps.gateway.guard.providers import Patterns, patterns
from apps.gateway.guard.window import Reach
from tests.gateway.guard.answering import (
    call,
    chunk,
    end,
    event,
    guard,
    passed,
    read,
    rule,
    run,
    text_of,
    usage,
)

SSN = "412-55-1098"
OTHER = "519-44-7231"
PROSE = "The request meets the criteria of the policy and can be approved without a review. "


def message(text=None, **more) -> dict:
    return {"index": 0, "message": {"role": "assistant", "content": text, **more}}


def plain(*choices: dict, **more) -> dict:
    return {"id": "chatcmpl-1", "choices": list(choices), "usage": {"completion_tokens": 3}, **more}


def letters(text: str) -> list:
    return [chunk(one) for one in text]


class TestWhole:
    def test_passes_an_answer_without_finds_as_it_is(self):
        document = plain(message(PROSE))
        answer = guard(rule())
        assert run(answer.whole(document)) is False
        assert document == plain(message(PROSE))
        assert answer.verdict().findings == ()
        assert answer.verdict().rules == "digest"

    def test_blocks_and_tells_rule_and_place_but_not_the_words(self):
        answer = guard(rule(name="no-phi"))
        with pytest.raises(Blocked) as refused:
            run(answer.whole(plain(message(f"SSN {SSN}"))))
        said = json.dumps(refused.value.error())
        assert (refused.value.status, refused.value.code) == (400, "content_filter")
        assert refused.value.guardrail.rule == "no-phi"
        assert refused.value.guardrail.phase == "answer"
        assert SSN not in said
        (found,) = refused.value.verdict.findings
        assert (found.detector, found.where) == ("US_SSN", "choices[0].message.content")

    def test_masks_in_place_in_each_choice(self):
        second = {**message(f"Or {OTHER}."), "index": 1}
        document = plain(message(f"It is {SSN}."), second, message("clean"))
        assert run(guard(rule(Does.MASK)).whole(document)) is True
        said = [choice["message"]["content"] for choice in document["choices"]]
        assert said == ["It is [REDACTED].", "Or [REDACTED].", "clean"]

    def test_monitor_lets_pass_and_tells(self):
        document = plain(message(f"SSN {SSN}"))
        answer = guard(rule(Does.MONITOR))
        assert run(answer.whole(document)) is False
        assert document == plain(message(f"SSN {SSN}"))
        assert [one.does for one in answer.verdict().findings] == [Does.MONITOR]

    @pytest.mark.parametrize(
        "choice",
        [
            message(reasoning=f"SSN {SSN}"),
            message(reasoning_content=f"SSN {SSN}"),
            message(refusal=f"SSN {SSN}"),
            message(content=[{"type": "text", "text": f"SSN {SSN}"}]),
            message(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": f"SSN {SSN}"}}]),
            message(tool_calls=[{"id": "a", "function": {"name": f"ssn {SSN}", "arguments": ""}}]),
            message(tool_calls=[{"id": f"ssn {SSN}", "function": {"name": "f", "arguments": ""}}]),
            message(function_call={"name": "f", "arguments": f"SSN {SSN}"}),
            message(audio={"id": "x", "transcript": f"SSN {SSN}"}),
            message(annotations=[{"type": "url_citation", "url_citation": {"title": SSN}}]),
            message(something_new={"deep": [{"er": f"SSN {SSN}"}]}),
            message(something_new={f"SSN {SSN}": 1}),
            message(role=f"SSN {SSN}"),
            {**message("x"), "finish_reason": f"SSN {SSN}"},
            {**message("x"), "stop_reason": f"SSN {SSN}"},
            {"index": 0, "text": f"SSN {SSN}"},
            {"index": 0, "text": "x", "logprobs": {"tokens": [*SSN]}},
            {"index": 0, "text": "x", "logprobs": {"top_logprobs": [{one: -1.0} for one in SSN]}},
            {**message("x"), "logprobs": {"content": [{"token": one} for one in SSN]}},
            {**message("x"), "logprobs": {"content": [{"token": "x", "bytes": [*SSN.encode()]}]}},
            {
                **message("x"),
                "logprobs": {
                    "content": [{"token": "x", "top_logprobs": [{"token": one}]} for one in SSN]
                },
            },
            {**message("x"), "logprobs": {"refusal": [{"token": one} for one in SSN]}},
        ],
        ids=lambda choice: json.dumps(choice)[12:60],
    )
    def test_looks_wherever_words_can_stand(self, choice):
        with pytest.raises(Blocked):
            run(guard(rule()).whole(plain(choice)))

    @pytest.mark.parametrize("beside", ["prompt_text", "something", f"SSN {SSN}"])
    def test_looks_beside_the_choices(self, beside):
        with pytest.raises(Blocked):
            run(guard(rule()).whole(plain(message("x"), **{beside: f"SSN {SSN}"})))

    @pytest.mark.parametrize(
        "choice",
        [
            {**message("x"), "token_ids": [5, 6]},
            message(audio={"id": "x", "data": "UklGRg=="}),
            "words",
            message(tool_calls=["words"]),
        ],
    )
    def test_refuses_what_it_cannot_read(self, choice):
        with pytest.raises(Refusal) as refused:
            run(guard(rule()).whole(plain(choice)))
        assert (refused.value.status, refused.value.code) == (502, "answer_unreadable")
        assert run(guard(rule(Does.MONITOR)).whole(plain(choice))) is False

    def test_what_is_masked_stands_in_no_token_either(self):
        tokens = {"content": [{"token": one, "logprob": -0.1} for one in SSN]}
        document = plain({**message(SSN), "logprobs": tokens}, {**message("ok"), "index": 1})
        assert run(guard(rule(Does.MASK)).whole(document)) is True
        assert SSN[:3] not in json.dumps(document)
        assert document["choices"][0]["logprobs"] is None

    def test_leaves_numbers_of_embeddings_alone(self):
        document = {"data": [{"index": 0, "embedding": [1, 2, 3, 4, 5]}], "model": "e"}
        assert run(guard(rule()).whole(document)) is False

    def test_a_long_answer_gives_others_their_turn(self):
        """Five million characters, of which each has to be looked at."""
        document = plain(message("The code is 1 2 3 and so on. " * 170_000 + f"SSN {SSN}"))

        async def longest_wait() -> float:
            slow = asyncio.ensure_future(guard(rule()).whole(document))
            longest = 0.0
            while not slow.done():
                before = time.monotonic()
                await guard(rule()).whole(plain(message(PROSE)))
                await asyncio.sleep(0)
                longest = max(longest, time.monotonic() - before)
            with pytest.raises(Blocked):
                await slow
            return longest

        assert run(longest_wait()) < 3


class TestVerdict:
    def test_begins_with_what_the_request_held_and_has_no_more_than_it_may(self):
        before = Finding("orchid", "ORCHID", Does.MONITOR, "request", "messages[0].content")
        told = []
        answer = InspectedAnswer(call("x"), [rule(Does.MONITOR)], "digest", [before], told.append)
        said = "; ".join(f"SSN 412-55-{number}" for number in range(1100, 1220))
        assert run(answer.whole(plain(message(said)))) is False
        found = answer.verdict().findings
        where = "choices[0].message.content"
        assert found[0] == before
        assert set(found[1:]) == {Finding("no-phi", "US_SSN", Does.MONITOR, "answer", where)}
        assert (len(found), len(told)) == (100, 120)

    def test_of_a_block_has_the_digest_and_the_rules_own_message(self):
        answer = guard(rule(Does.MONITOR, name="seen"), rule(message="Ask her doctor."))
        with pytest.raises(Blocked) as refused:
            run(answer.whole(plain(message(f"SSN {SSN}"))))
        assert refused.value.verdict.rules == "digest"
        assert [one.rule for one in refused.value.verdict.findings] == ["seen", "no-phi"]
        assert "Ask her doctor." in refused.value.message

    def test_of_an_answer_that_no_rule_is_for_is_empty_and_it_passes(self):
        answer, one = guard(), chunk(f"SSN {SSN}")
        assert run(answer.whole(plain(message(f"SSN {SSN}")))) is False
        assert run(answer.feed(one)) == [one] and run(answer.feed(one, more=True)) == [one]
        assert (answer.verdict().rules, answer.verdict().findings) == ("digest", ())


class TestLeaks:
    @pytest.mark.parametrize(
        ("prompt", "said"),
        [
            (f"Member {SSN}", f"The SSN is {SSN}."),
            ("Member 412551098", f"The SSN is {SSN}."),
            ("Born January 2, 1960", "DOB: 01/02/1960"),
            ("Born 1960-01-02", "born on January 2nd, 1960"),
            ("call +1 (312) 555-0134", "Call 312.555.0134."),
            ("mail Jo.Doe@Example.org", "mail jo.doe@example.org"),
            ("MBI 1EG4 TE5 MK73", "Medicare 1EG4-TE5-MK73"),
        ],
    )
    def test_what_the_prompt_held_is_no_leak(self, prompt, said):
        answer = guard(rule(is_leak=True), prompt=["x", prompt])
        assert run(answer.whole(plain(message(said)))) is False
        with pytest.raises(Blocked):
            run(guard(rule(), prompt=["x", prompt]).whole(plain(message(said))))

    @pytest.mark.parametrize(
        ("prompt", "said"),
        [
            (f"Member {SSN}", f"The SSN is {OTHER}."),
            ("412 is a number, 55 one more, 1098 too", f"The SSN is {SSN}."),
            ("Born January 2, 1960", "DOB: 01/03/1960"),
            (f"Member {SSN}9", f"The SSN is {SSN}."),
        ],
    )
    def test_what_it_did_not_hold_is_one(self, prompt, said):
        with pytest.raises(Blocked):
            run(guard(rule(is_leak=True), prompt=[prompt]).whole(plain(message(said))))

    def test_masks_the_leak_alone(self):
        document = plain(message(f"SSN {SSN} and SSN {OTHER}"))
        assert run(guard(rule(Does.MASK, is_leak=True), prompt=[SSN]).whole(document)) is True
        assert document["choices"][0]["message"]["content"] == f"SSN {SSN} and SSN [REDACTED]"


class TestStream:
    def test_passes_all_bytes_of_a_clean_stream_in_their_order(self):
        events = [chunk(role="assistant", content=""), *letters(PROSE * 3)]
        events += [chunk("", finish="stop"), usage(), end()]
        found = run(passed(guard(rule()), events))
        assert b"".join(one.raw for one in found) == b"".join(one.raw for one in events)

    def test_delays_prose_by_the_window_alone(self):
        answer = guard(rule())
        behind = []
        sent = 0
        for number, one in enumerate(letters(PROSE * 5)):
            sent += len(run(answer.feed(one)))
            behind.append(number + 1 - sent)
        assert max(behind) <= 80 + 16 + len("authorization")

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 400])
    def test_no_character_of_a_find_leaves_however_it_is_cut(self, size):
        text = f"{PROSE}{PROSE}The SSN is {SSN}, as asked. {PROSE}{PROSE}"
        events = [chunk(text[at : at + size]) for at in range(0, len(text), size)]
        answer, sent = guard(rule()), []

        async def all_of_it():
            for one in events:
                sent.extend(await answer.feed(one))
            await answer.end()

        with pytest.raises(Blocked):
            run(all_of_it())
        assert text.startswith(text_of(sent))
        assert len(text_of(sent)) <= text.index(SSN)

    @pytest.mark.parametrize(
        "last",
        [[chunk(SSN)], [chunk(SSN, finish="stop")], [chunk(SSN), end()], [chunk(SSN), usage()]],
    )
    def test_finds_in_the_last_chunk_with_and_without_an_end(self, last):
        with pytest.raises(Blocked):
            run(passed(guard(rule()), [chunk("The SSN: "), *last]))

    def test_finds_in_each_of_two_choices_that_take_turns(self):
        parts = [f"SSN {SSN} ", f"SSN {OTHER} "]
        events = [
            chunk(parts[index][at], index=index) for at in range(len(parts[0])) for index in (0, 1)
        ]
        found = run(passed(guard(rule(Does.MASK)), events))
        assert text_of(found, 0) == text_of(found, 1) == "SSN [REDACTED] "

    def test_two_choices_are_two_texts(self):
        """Digits of one choice do not complete those of another."""
        events = [chunk("SSN 412-55-"), chunk("1098", index=1), chunk("x"), chunk(" ", index=1)]
        found = run(passed(guard(rule()), events))
        assert len(found) == 4

    def test_one_choice_does_not_wait_for_another(self):
        answer = guard(rule())
        run(answer.feed(chunk("It is 4", index=0)))
        sent = [one for text in letters(PROSE * 3) for one in run(answer.feed(with_index(text, 1)))]
        assert len(text_of(sent, 1)) > len(PROSE)
        assert text_of(sent, 0) == ""

    def test_a_choice_that_ended_waits_no_longer(self):
        answer = guard(rule())
        assert run(answer.feed(chunk("It is 4"))) == []
        found = run(answer.feed(chunk("", finish="stop")))
        assert text_of(found) == "It is 4"

    def test_the_end_mark_comes_last(self):
        events = [chunk("It is 4"), chunk("so", index=1), usage(), end()]
        assert run(passed(guard(rule()), events)) == events

    @pytest.mark.parametrize("channel", ["reasoning", "reasoning_content", "refusal", "new"])
    def test_other_texts_of_a_choice_are_looked_at_alike(self, channel):
        text = f"The SSN is {SSN}. " + PROSE * 3
        found = run(passed(guard(rule(Does.MASK)), [chunk(**{channel: one}) for one in text]))
        assert text_of(found, channel=channel) == text.replace(SSN, "[REDACTED]")

    def test_the_answer_does_not_wait_for_the_last_words_of_the_reasoning(self):
        answer = guard(rule())
        mixed = chunk("Yes. ", reasoning="so 4")
        events = [*[chunk(reasoning=one) for one in "I think"], mixed, *letters(PROSE * 3)]
        sent = [one for each in events for one in run(answer.feed(each))]
        assert len(text_of(sent)) > len(PROSE)
        sent += run(answer.feed(chunk("", finish="stop")))
        assert text_of(sent) == "Yes. " + PROSE * 3
        assert text_of(sent, channel="reasoning") == "I thinkso 4"

    def test_an_event_of_several_texts_is_joined_to_the_same_by_a_client(self):
        calls = [
            {
                "index": 0,
                "id": "c0",
                "type": "function",
                "function": {"name": "f", "arguments": "{"},
            },
            {
                "index": 1,
                "id": "c1",
                "type": "function",
                "function": {"name": "g", "arguments": "["},
            },
            {
                "index": 2,
                "id": "c2",
                "type": "function",
                "function": {"name": "h", "arguments": ""},
            },
        ]
        mixed = chunk("Yes", role="assistant", reasoning="so", tool_calls=calls, finish="stop")
        mixed.document["choices"].append({"index": 1, "delta": {"role": "assistant"}})
        mixed.document["choices"].append({"index": 2, "delta": {"content": "No"}})
        mixed.document["usage"] = {"completion_tokens": 9}
        found = run(passed(guard(rule()), [event(mixed.document)]))
        assert len(found) == 6
        assert sum("usage" in one.document for one in found) == 1
        for index, choice in enumerate(mixed.document["choices"]):
            assert joined(found, index) == choice["delta"]
        ends = [
            choice.get("finish_reason")
            for one in found
            for choice in one.document["choices"]
            if choice["index"] == 0
        ]
        assert ends == [None, None, None, None, "stop"]

    def test_tool_calls_begin_in_their_order(self):
        """A client that keeps them in a list relies on it."""
        first = {"index": 0, "id": "c0", "function": {"name": "f", "arguments": "412-55"}}
        second = {"index": 1, "id": "c1", "function": {"name": "g", "arguments": ""}}
        more = {"index": 1, "function": {"arguments": PROSE * 4}}
        events = [chunk("Yes"), *(chunk(tool_calls=[one]) for one in (first, second, more))]
        found = run(passed(guard(rule()), [*events, chunk("", finish="stop"), end()]))
        calls = joined(found[:-1], 0)["tool_calls"]
        assert [one["id"] for one in calls] == ["c0", "c1"]
        assert [one["function"]["arguments"] for one in calls] == ["412-55", PROSE * 4]

    def test_a_find_over_an_answer_that_was_interrupted_by_a_tool_call_is_whole(self):
        call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": PROSE * 3}}
        events = [chunk("SSN 412-55-"), chunk(tool_calls=[call]), chunk("1098 ")]
        answer, sent = guard(rule()), []

        async def all_of_it():
            for one in events:
                sent.extend(await answer.feed(one))
            sent.extend(await answer.end())

        with pytest.raises(Blocked):
            run(all_of_it())
        assert "412" not in text_of(sent)

    def test_tool_arguments_are_joined_by_call_and_masked(self):
        texts = [f'{{"ssn": "{SSN}"}}', f'{{"id": "SSN {OTHER}"}}']
        events = [
            chunk(
                tool_calls=[{"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": ""}}]
            )
            for n in (0, 1)
        ]
        for at in range(30):
            for n in (0, 1):
                delta = {"index": n, "function": {"arguments": texts[n][at : at + 1]}}
                events.append(chunk(tool_calls=[delta]))
        found = run(passed(guard(rule(Does.MASK)), events))
        assert arguments(found, 0) == '{"ssn": "[REDACTED]"}'
        assert arguments(found, 1) == '{"id": "SSN [REDACTED]"}'

    @pytest.mark.parametrize("size", [1, 4, 7, 200])
    def test_digits_that_are_escaped_in_arguments_are_digits(self, size):
        escaped = "".join(rf"\u{ord(one):04x}" for one in SSN)
        text = f'{{"a": "SSN {escaped}", "b": "x"}}'
        assert json.loads(text)["a"] == f"SSN {SSN}"
        events = [
            chunk(tool_calls=[{"index": 0, "function": {"arguments": text[at : at + size]}}])
            for at in range(0, len(text), size)
        ]
        found = run(passed(guard(rule(Does.MASK)), events))
        assert arguments(found, 0) == '{"a": "SSN [REDACTED]", "b": "x"}'
        with pytest.raises(Blocked):
            run(guard(rule()).whole(plain(message(text))))

    def test_halves_of_a_character_pass_as_they_came(self):
        events = [chunk("so \ud83d"), chunk("\ude00 SSN "), chunk(SSN), chunk(" \ud83d")]
        assert text_of(run(passed(guard(rule(Does.MASK)), events))) == (
            "so \ud83d\ude00 SSN [REDACTED] \ud83d"
        )
        found = run(passed(guard(rule(is_leak=True), prompt=[SSN, "\ud83d"]), events))
        assert b"".join(one.raw for one in found) == b"".join(one.raw for one in events)

    def test_sixteen_choices_of_single_letters_cost_no_more_than_their_length(self):
        began = time.process_time()
        answer = guard(rule())

        async def all_of_it():
            for one in PROSE * 4:
                for index in range(16):
                    await answer.feed(chunk(one, index=index))

        run(all_of_it())
        assert time.process_time() - began < 16 * len(PROSE * 4) * 0.002

    def test_text_behind_the_end_of_a_choice_is_refused(self):
        with pytest.raises(Refusal) as refused:
            run(passed(guard(rule()), [chunk("a", finish="stop"), chunk("b")]))
        assert refused.value.code == "answer_unreadable"

    @pytest.mark.parametrize(
        "raw",
        [
            f"data: SSN {SSN}\n\n",
            f": SSN {SSN}\n\n",
            f"event: SSN {SSN}\ndata: {{}}\n\n",
            f'data: ["SSN {SSN}"]\n\n',
        ],
    )
    def test_words_beside_the_documents_are_looked_at(self, raw):
        with pytest.raises(Refusal):
            run(passed(guard(rule()), read(raw.encode())))
        with pytest.raises(Refusal):
            run(passed(guard(rule(Does.MASK)), read(raw.encode())))
        found = run(passed(guard(rule(Does.MONITOR)), read(raw.encode())))
        assert b"".join(one.raw for one in found) == raw.encode()

    def test_masked_events_keep_no_tokens_of_the_find(self):
        def with_token(one: str):
            made = chunk(one)
            made.document["choices"][0]["logprobs"] = {"content": [{"token": one, "logprob": -1}]}
            return event(made.document)

        found = run(passed(guard(rule(Does.MASK)), [with_token(one) for one in f"SSN {SSN} ok"]))
        assert text_of(found) == "SSN [REDACTED] ok"
        tokens = [one.document["choices"][0]["logprobs"] for one in found]
        assert "".join(one["content"][0]["token"] for one in tokens if one) == "SSN  ok"

    def test_monitor_holds_nothing_back(self):
        answer = guard(rule(Does.MONITOR))
        events = [*letters(f"SSN {SSN}, he said"), end()]
        for one in events:
            assert run(answer.feed(one)) == [one]
        assert run(answer.end()) == []
        assert [one.detector for one in answer.verdict().findings] == ["US_SSN"]

    def test_two_rules_mask_what_both_find_once(self):
        rules = (rule(Does.MASK, name="a"), rule(Does.MASK, name="b", mask="***"))
        found = run(passed(guard(*rules), letters(f"SSN {SSN} ok")))
        assert text_of(found) == "SSN [REDACTED] ok"

    def test_a_find_without_end_is_not_looked_at_over_and_over(self):
        """A token of a hundred thousand characters, one character an event."""
        token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "aB3x" * 30_000
        began = time.monotonic()
        answer = guard(rule(Does.BLOCK, patterns(secrets())))

        async def all_of_it():
            for one in token:
                await answer.feed(chunk(one))

        with pytest.raises(Blocked):
            run(all_of_it())
        assert time.monotonic() - began < 10


def joined(events, index: int) -> dict:
    """Join deltas as OpenAI's client does: texts are added up, tool calls by their index."""
    found: dict = {}
    for one in events:
        for choice in one.document["choices"]:
            if choice["index"] == index:
                add_up(found, choice["delta"])
    return found


def add_up(held: dict, more: dict) -> None:
    for key, value in more.items():
        if isinstance(value, list):
            for one in value:
                calls = held.setdefault(key, [])
                if one["index"] == len(calls):
                    calls.append({"index": one["index"]})
                add_up(calls[one["index"]], one)
        elif isinstance(value, dict):
            add_up(held.setdefault(key, {}), value)
        elif isinstance(value, str) and key != "type":
            held[key] = held.get(key, "") + value
        else:
            held[key] = value


def with_index(one, index: int):
    one.document["choices"][0]["index"] = index
    return event(one.document)


def arguments(events, number: int) -> str:
    found = []
    for one in events:
        for made in one.document["choices"][0]["delta"].get("tool_calls") or []:
            if made["index"] == number:
                found.append(made["function"].get("arguments") or "")
    return "".join(found)


class Hanging:
    """A detector that comes back when it is too late."""

    reach = 100

    def detect(self, texts):
        time.sleep(0.5)
        return [Hit("X", text.where, 0, 1, 1.0) for text in texts]


class Broken(Hanging):
    def detect(self, texts):
        raise RuntimeError(f"secret: {texts[0].text}")


@pytest.mark.parametrize("detector", [Hanging(), Broken()])
class TestTrouble:
    def slow(self, detector, **options):
        return rule(provider=Patterns(detector, Reach(10, 10, 10)), timeout_seconds=0.1, **options)

    def test_closes_where_the_rule_does_not_say_otherwise(self, detector, caplog):
        with pytest.raises(Refusal) as refused:
            run(guard(self.slow(detector)).whole(plain(message("words of the answer"))))
        assert (refused.value.status, refused.value.code) == (502, "answer_unreadable")
        where = "choices[0].message.content"
        assert refused.value.verdict.findings == (
            Finding("no-phi", NOT_INSPECTED, Does.BLOCK, "answer", where),
        )
        with pytest.raises(Refusal):
            run(passed(guard(self.slow(detector)), letters("words of the answer")))
        assert "words" not in caplog.text + refused.value.message

    def test_opens_loudly_where_it_says_so(self, detector, caplog):
        answer = guard(self.slow(detector, fails_closed=False, name="lax"), rule(Does.MASK))
        document = plain(message(f"SSN {SSN}"))
        assert run(answer.whole(document)) is True
        assert [one.detector for one in answer.verdict().findings] == [NOT_INSPECTED, "US_SSN"]
        assert "lax" in caplog.text
        assert SSN not in caplog.text
        assert document["choices"][0]["message"]["content"] == "SSN [REDACTED]"
