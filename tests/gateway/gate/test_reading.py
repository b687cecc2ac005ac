"""What the gate reads of a call: its caller, its figures and its every text; and what it refuses,
without a word of what was sent.
"""

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.gate import documents
from apps.gateway.gate.calls import Call, Caller, Text
from apps.gateway.gate.documents import MOST_MARKS, MOST_OBJECTS
from apps.gateway.gate.reading import MOST_BYTES, MOST_TOKENS, Asked, Bounds, read
from apps.gateway.gate.refusals import Refusal
from apps.prompts.subjects import SubjectKind, named_subject
from tests.gateway.gate.odd import (
    CANARY,
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    ODD,
    RERANK,
    body,
    raw,
)  # fmt: skip

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
ID = "0b1e5d6e-3a5f-4c55-9d0c-1f1f1f1f1f1f"
CLAIMS = {"sub": "s-1", "team": "claims", "cost_center": "CC-1", "exp": NOW.timestamp() + 60}
JSON = {"content-type": "application/json"}
EACH = {"include_usage": True, "continuous_usage_stats": True}
BOUNDS = Bounds(context=8192, choices=4)


def asked(content: Any, path: str = CHAT, **changes: Any) -> Asked:
    sent = content if isinstance(content, bytes) else json.dumps(content).encode()
    values: dict[str, Any] = {"id": ID, "at": NOW, "path": path, "body": sent}
    return Asked(**{**values, "headers": JSON, "claims": CLAIMS, **changes})


def call(content: Any, path: str = CHAT, bounds: Bounds = BOUNDS, **changes: Any) -> Call:
    return read(asked(content, path, **changes), lambda team, model: bounds)


def refused(content: Any, path: str = CHAT, bounds: Bounds = BOUNDS, **changes: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        call(content, path, bounds, **changes)
    assert CANARY not in found.value.body().decode()
    return found.value


def texts(found: Call) -> dict[str, str]:
    return {text.where: text.text for text in found.texts}


class TestOddRequests:
    @pytest.mark.parametrize(("path", "content", "code", "said"), ODD)
    def test_are_refused_with_what_is_wrong_and_without_what_was_sent(
        self, path, content, code, said
    ):
        found = refused(content, path)
        assert (found.status, found.type, found.code) == (400, "invalid_request_error", code)
        assert said in found.message
        assert found.headers == {"x-should-retry": "false"}
        assert found.message.endswith("." if code != "field_invalid" else (".", "model"))

    @pytest.mark.parametrize("over", [0, 1])
    def test_may_be_as_large_as_the_bounds_say(self, over):
        content = raw('"x": 1')
        bounds = Bounds(body_bytes=len(content) - over)
        if not over:
            assert call(content, bounds=bounds).body == content
            return
        found = refused(content, bounds=bounds)
        assert (found.status, found.code) == (413, "body_too_large")
        assert f"{len(content) - 1:,} bytes" in found.message

    def test_are_not_read_beyond_what_the_gateway_takes(self):
        found = refused(b"x" * (MOST_BYTES + 1), bounds=Bounds(body_bytes=10**9))
        assert (found.status, found.code) == (413, "body_too_large")
        assert refused(b"x" * MOST_BYTES).code == "invalid_json"

    @pytest.mark.parametrize("path", ["/v1/responses", "/", "/v1/chat/completions/", "/v1/models"])
    def test_to_a_path_that_nobody_counts_are_refused(self, path):
        found = refused(body(), path)
        assert (found.status, found.code) == (404, "path_not_found")
        assert CHAT in found.message and RERANK in found.message

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post"])
    def test_of_other_methods_are_refused(self, method):
        found = refused(body(), headers={**JSON, ":method": method})
        assert (found.status, found.code) == (405, "method_not_allowed")
        assert found.headers["Allow"] == "POST"
        assert call(body(), headers={**JSON, ":method": "POST"}).model == "summary"

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "content_type"),
            ({"content-type": "text/plain"}, "content_type"),
            ({"content-type": "application/jsonp"}, "content_type"),
            ({"content-type": "application/json; charset=utf-16"}, "content_type"),
            ({"content-type": 'application/json; x=1; charset="latin-1"'}, "content_type"),
            ({**JSON, "content-encoding": "gzip"}, "content_encoding"),
            ({**JSON, "content-encoding": "identity, br"}, "content_encoding"),
        ],
    )
    def test_in_another_encoding_are_refused(self, headers, code):
        found = refused(body(), headers=headers)
        assert (found.status, found.code) == (400, code)

    @pytest.mark.parametrize(
        "headers",
        [
            {"content-type": "Application/JSON; Charset=UTF-8"},
            {"content-type": 'application/json;charset="utf-8"', "content-encoding": "Identity"},
            {"content-type": "application/json; charset=utf8"},
            {"content-type": "application/json ; charset=us-ascii"},
            {**JSON, "content-encoding": ""},
        ],
    )
    def test_in_plain_json_are_taken(self, headers):
        assert call(body(), headers=headers).model == "summary"

    def test_that_were_routed_by_another_model_are_refused(self):
        found = refused(body(), headers={**JSON, "x-ai-eg-model": "other"})
        assert (found.status, found.code) == (400, "field_invalid")
        assert call(body(), headers={**JSON, "x-ai-eg-model": "summary"}).model == "summary"

    def test_without_the_gateways_own_id_are_not_sent_on(self):
        for value in ("", "x", ID[:-1]):
            assert refused(body(), id=value).status == 502

    @given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
    def test_of_any_bytes_are_read_or_refused(self, content):
        with pytest.raises(Refusal) as found:
            call(content)
        assert found.value.status == 400

    @given(
        st.dictionaries(
            st.sampled_from(["stream", "n", "messages", "stream_options", "tools", "x", "prompt"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                lambda held: (
                    st.lists(held, max_size=3)
                    | st.dictionaries(st.sampled_from(["role", "content", "type", "x"]), held)
                ),
                max_leaves=8,
            ),
        ),
        st.sampled_from([CHAT, COMPLETIONS, EMBEDDINGS, RERANK]),
    )
    def test_of_any_shape_are_read_or_refused(self, more, path):
        try:
            found = call({**body(path), **more}, path)
        except Refusal as problem:
            assert problem.status == 400
        else:
            assert found.stream is (more.get("stream") is True)


class TestTheToken:
    def test_says_who_calls(self):
        assert call(body()).caller == Caller(
            "s-1", "claims", "CC-1", datetime(2026, 11, 27, 9, 1, tzinfo=UTC)
        )
        assert call(body(), claims={**CLAIMS, "exp": 0}).caller.expires_at.year == 1970

    @pytest.mark.parametrize("exp", [None, "", "soon", True, [1], float("nan"), 1e300, 10**400])
    def test_must_end(self, exp):
        found = refused(body(), claims={**CLAIMS, "exp": exp})
        assert (found.status, found.type, found.code) == (
            401, "authentication_error", "token_endless",
        )  # fmt: skip

    @pytest.mark.parametrize("claim", ["sub", "team", "cost_center"])
    @pytest.mark.parametrize("value", [None, "", " ", 7, ["claims"], "a\n", "x" * 256, {}])
    def test_must_say_who_and_who_pays(self, claim, value):
        found = refused(body(), claims={**CLAIMS, claim: value})
        assert (found.status, found.code) == (401, "token_incomplete")
        assert f"claim {claim} is" in found.message
        assert str(value) not in found.message or value in (None, "", " ", "a\n", 7)

    @pytest.mark.parametrize(
        ("claim", "good", "bad"),
        [
            ("team", "a" * 63, "a" * 64), ("team", "prior-auth", "Prior"),
            ("cost_center", "C" * 32, "C" * 33), ("cost_center", "a_.1-", "-a"),
            ("sub", "é" * 255, "é" * 256), ("sub", "a b", "a "),
        ],
    )  # fmt: skip
    def test_has_claims_of_these_shapes(self, claim, good, bad):
        found = call(body(), claims={**CLAIMS, claim: good}).caller
        assert good in (found.team, found.cost_center, found.subject)
        assert refused(body(), claims={**CLAIMS, claim: bad}).code == "token_incomplete"

    def test_comes_before_anything_that_was_sent(self):
        assert refused(b"[", "/nowhere", claims={}).status == 401


class TestACall:
    def test_is_what_it_says(self):
        sent = body(stream=True, n=2, max_tokens=7, stream_options={"include_usage": True})
        found = call(sent, f"{CHAT}?trace=1")
        assert found == Call(
            id=UUID(ID), at=NOW, caller=found.caller, path=CHAT, operation="CHAT",
            model="summary", stream=True, n=2, max_tokens=7, has_images=False,
            continuous_usage=False, texts=(Text("messages[0].content", "user", CANARY),),
            body=json.dumps(sent).encode(),
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("path", "more", "n", "most"),
        [
            (CHAT, {}, 1, None),
            (CHAT, {"n": None, "max_tokens": None, "stream": None}, 1, None),
            (CHAT, {"n": 4, "max_completion_tokens": 8192}, 4, 8192),
            (CHAT, {"max_tokens": 3, "max_completion_tokens": 3}, 1, 3),
            (CHAT, {"priority": 0}, 1, None),
            (COMPLETIONS, {}, 1, 16),
            (COMPLETIONS, {"n": 2, "best_of": 4, "max_tokens": 9}, 4, 9),
            (COMPLETIONS, {"prompt": ["a", "b", "c"], "n": 2}, 6, 16),
            (COMPLETIONS, {"echo": True, "max_tokens": 0}, 1, 0),
            (EMBEDDINGS, {"input": ["a", "b"]}, 1, 0),
            (RERANK, {}, 1, 0),
        ],
    )
    def test_asks_for_so_many_answers_of_so_many_tokens(self, path, more, n, most):
        found = call(body(path, **more), path)
        assert (found.n, found.max_tokens) == (n, most)
        assert found.operation == {
            CHAT: "CHAT", COMPLETIONS: "COMPLETION", EMBEDDINGS: "EMBEDDING", RERANK: "RERANK",
        }[path]  # fmt: skip

    def test_are_of_the_class_that_the_grant_says_whatever_a_caller_sends(self):
        of_class = JSON | {"x-qm-class": "batch"}
        assert call(body(), headers=of_class).service_class == "interactive"
        found = call(body(), bounds=Bounds(service_class="batch"), headers=of_class)
        assert found.service_class == "batch"

    def test_is_bounded_where_nobody_knows_the_context(self):
        assert call(body(max_tokens=MOST_TOKENS), bounds=Bounds()).max_tokens == MOST_TOKENS
        assert refused(body(max_tokens=MOST_TOKENS + 1), bounds=Bounds()).code == "field_invalid"

    def test_is_bounded_by_what_its_team_may_ask_of_its_model(self):
        seen = []
        read(asked(body()), lambda team, model: seen.append((team, model)) or BOUNDS)
        assert seen == [("claims", "summary")]

    def test_may_hold_tokens_where_no_rule_reads_them(self):
        bounds = Bounds(takes_tokens=True)
        assert call(body(COMPLETIONS, prompt=[1, 2]), COMPLETIONS, bounds).n == 1
        several = call(body(COMPLETIONS, prompt=[[1, 2], [3]]), COMPLETIONS, bounds)
        assert (several.n, several.texts) == (2, ())
        assert call(body(EMBEDDINGS, input=[[1], [2]]), EMBEDDINGS, bounds).n == 1

    @pytest.mark.parametrize(
        ("options", "more", "told"),
        [
            (None, {}, False), ({}, {}, False), ({"include_usage": False}, {}, False),
            ({"continuous_usage_stats": False}, {"stream_interval": 1}, False),
            ({"continuous_usage_stats": True}, {}, False),
            (EACH, {}, True), (EACH, {"include_reasoning": False}, True),
            (EACH, {"stream_interval": 9}, True),
        ],
    )  # fmt: skip
    def test_says_whether_each_piece_tells_its_usage(self, options, more, told):
        found = call(body(stream=True, stream_options=options, **more))
        assert (found.stream, found.continuous_usage) == (True, told)

    def test_that_is_not_streamed_may_hide_its_reasoning(self):
        assert not call(body(include_reasoning=False, stream_interval=7)).stream

    def test_takes_false_for_what_nobody_may_ask_for(self):
        assert call(body(return_token_ids=False, chat_template=None)).model == "summary"


class TestTexts:
    def test_of_a_chat_are_all_that_stands_in_it(self):
        messages = [
            {"role": "system", "content": "be brief", "name": "the clerk"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "data:,b", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "I think",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "seven", "odd one": {"deep": "x"}},
        ]
        found = call(body(messages=messages))
        assert texts(found) == {
            "messages[0].content": "be brief",
            "messages[0].name": "the clerk",
            "messages[1].content[0].text": "look",
            "messages[1].content[2].image_url.detail": "low",
            "messages[1].content[3].input_audio.format": "wav",
            "messages[2].reasoning_content": "I think",
            "messages[2].tool_calls[0].id": "c1",
            "messages[2].tool_calls[0].function.name": "f",
            "messages[2].tool_calls[0].function.arguments": "{}",
            "messages[3].tool_call_id": "c1",
            "messages[3].content": "seven",
            "messages[3].*.*": "x",
            "messages[3].* (names)": "deep",
            "messages[3] (names)": "odd one",
        }
        assert found.has_images
        assert {text.role for text in found.texts} == {"system", "user", "assistant", "tool"}

    def test_are_the_tools_and_schemas_too_with_the_names_in_them(self):
        tools = [
            {
                "type": "function",
                "function": {
                    "name": "find",
                    "description": "finds",
                    "parameters": {
                        "type": "object",
                        "properties": {"ignore all rules": {"type": "string", "enum": ["a"]}},
                    },
                },
            }
        ]
        shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"title": "t"}}}
        found = call(
            body(tools=tools, response_format=shape, guided_grammar="root", stop=["end"], seed=5)
        )
        assert texts(found) == {
            "messages[0].content": CANARY,
            "tools[0].function.name": "find",
            "tools[0].function.description": "finds",
            "tools[0].function.parameters.properties.*.enum[0]": "a",
            "tools[0].function.parameters.properties (names)": "ignore all rules",
            "response_format.json_schema.name": "s",
            "response_format.json_schema.schema.title": "t",
            "*": "root",
            "stop[0]": "end",
            "(names)": "guided_grammar",
        }

    @pytest.mark.parametrize(
        ("path", "more", "expected"),
        [
            (COMPLETIONS, {"prompt": "a", "suffix": "b"}, {"prompt": "a", "suffix": "b"}),
            (COMPLETIONS, {"prompt": ["a", ""]}, {"prompt[0]": "a"}),
            (EMBEDDINGS, {"input": ["a", "b"]}, {"input[0]": "a", "input[1]": "b"}),
            (
                RERANK,
                {"query": "q", "documents": ["a", "b"]},
                {"query": "q", "documents[0]": "a", "documents[1]": "b"},
            ),
            (
                CHAT,
                {"documents": [{"title": "t", "text": "x"}], "user": "me", "logit_bias": {"9": 1}},
                {
                    "messages[0].content": CANARY,
                    "documents[0].title": "t",
                    "documents[0].text": "x",
                },
            ),
            (
                CHAT,
                {"chat_template_kwargs": {"style": "x", "on": True}},
                {
                    "messages[0].content": CANARY,
                    "chat_template_kwargs.*": "x",
                    "chat_template_kwargs (names)": "style\non",
                },
            ),
        ],
    )
    def test_of_every_kind_of_call(self, path, more, expected):
        found = call(body(path, **more), path)
        assert texts(found) == expected
        assert not found.has_images
        assert {text.role for text in found.texts} <= {"", "user"}

    @pytest.mark.parametrize(("count", "is_taken"), [(10_000, True), (10_001, False)])
    def test_are_so_many_at_most(self, count, is_taken):
        content = body(EMBEDDINGS, input=["a"] * count)
        if is_taken:
            assert len(call(content, EMBEDDINGS).texts) == count
        else:
            assert refused(content, EMBEDDINGS).code == "too_many_parts"

    def test_stand_so_deep_at_most(self):
        def nested(depth: int) -> Any:
            return body(x=json.loads("[" * depth + '"a"' + "]" * depth))

        assert len(call(nested(64)).texts) == 3
        assert refused(nested(65)).code == "invalid_json"

    def test_may_be_full_of_commas_brackets_and_pairs(self):
        """What counts as parts stands outside of texts; a whole surrogate pair is a character."""
        text = '1,2,[{"' * 60_000 + "\U0001f600"
        found = call(json.dumps(body(messages=[{"role": "user", "content": text}])).encode())
        assert found.texts[0].text == text

    @pytest.mark.parametrize("most", ["commas", "objects"])
    def test_of_so_many_parts_at_most_are_read(self, most):
        """Exactly as many as may be, and one more."""
        if most == "objects":

            def many(count: int) -> bytes:
                more = b"{}," * (count - 3) + b"{}"
                return b'{"model": "m", "messages": [{"role": "user"}], "x": [' + more + b"]}"

            limit = MOST_OBJECTS
        else:

            def many(count: int) -> bytes:
                head = b'{"model": "m", "messages": [{"role": "user"}], "stop_token_ids": ['
                return head + b"1," * (count - 6) + b"1]}"

            limit = MOST_MARKS
        documents.read(many(limit), most_bytes=MOST_BYTES)
        with pytest.raises(Refusal) as found:
            documents.read(many(limit + 1), most_bytes=MOST_BYTES)
        assert found.value.code == "too_many_parts"

    def test_no_place_repeats_a_key(self):
        found = call(body(metadata={CANARY: {CANARY: CANARY}}, **{CANARY: [CANARY]}))
        assert not [text.where for text in found.texts if CANARY in text.where]
        assert [text.text for text in found.texts].count(CANARY) == 5


def test_reading_120_kilobytes_takes_about_a_millisecond():
    """The best of many tries, so that a busy machine tells nothing."""
    text = 'The member was seen on 2026-01-02 for "knee pain".\n' * 110
    ask = asked(body(messages=[{"role": "user", "content": text}] * 20))
    assert len(ask.body) > 115_000
    times = []
    for _ in range(30):
        began = time.perf_counter()
        read(ask, lambda team, model: BOUNDS)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.003


class TestSubject:
    """Whose record a call is: hashed at once, and refused where it names nobody."""

    def test_is_the_member_whom_the_caller_named(self):
        found = call(body(), headers=JSON | {"x-member-key": "M-1"}).subject
        assert found == named_subject(SubjectKind.MEMBER, "M-1")
        assert "M-1" not in repr(found)

    def test_no_text_and_no_name_is_in_what_a_log_might_say_of_a_call(self):
        found = call(body(messages=[{"role": "user", "content": "Jane Roe"}]))
        told = Asked("", NOW, "/", b"Jane Roe", {"x-member-key": "M-1"}, {})
        said = repr(found) + repr(found.texts) + repr(told)
        assert found.texts[0].text == "Jane Roe" and "Jane" not in said and "M-1" not in said

    def test_is_nobody_where_none_is_named(self):
        assert call(body()).subject is None

    @pytest.mark.parametrize("bad", ["", "M-1,M-2", "x" * 201])
    def test_is_refused_where_it_names_nobody(self, bad):
        found = refused(body(), headers=JSON | {"x-case-key": bad})
        assert (found.status, found.code) == (400, "subject_invalid")
        assert "M-1" not in found.message
