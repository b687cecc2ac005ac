"""Which bodies the gateway takes: by the types that Envoy AI Gateway's own parser asks for."""

import json

import pytest

from deploy.local.gateway.bodies import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    FIELDS,
    BadCall,
    read,
    with_usage,
)

GOOD = {
    CHAT: {
        "model": "m", "stream": True, "stream_options": {"include_usage": False}, "n": 1,
        "temperature": 1, "top_p": 0.5, "max_tokens": 9, "logit_bias": {"5": -1}, "stop": ["a"],
        "logprobs": True, "tools": [{"type": "function"}], "tool_choice": "auto",
        "response_format": {"type": "json_object"}, "seed": 2**62,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}], "name": "a"},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "7"},
        ],
    },
    COMPLETIONS: {
        "model": "m", "prompt": [1, 2], "logprobs": 5, "echo": False, "suffix": "", "stop": "x",
        "stream": False,
    },
    EMBEDDINGS: {"model": "m", "input": ["a"], "dimensions": 8, "encoding_format": "float"},
}  # fmt: skip
WRONG = {
    CHAT: [
        {"stream": "true"}, {"stream": 0}, {"stream_options": []}, {"stream_options": "x"},
        {"stream_options": {"include_usage": 1}}, {"max_tokens": 1.0}, {"max_tokens": True},
        {"max_tokens": 2**63}, {"temperature": "1"}, {"temperature": True}, {"stop": 5},
        {"stop": ["a", 1]}, {"logit_bias": {"5": 0.5}}, {"logit_bias": []}, {"logprobs": 1},
        {"messages": {}}, {"messages": ["hello"]}, {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "boss", "content": "x"}]}, {"messages": [{"role": ["user"]}]},
        {"tools": {}}, {"tool_choice": 1}, {"user": 7}, {"response_format": "json"},
    ],
    COMPLETIONS: [
        {"prompt": {}}, {"logprobs": True}, {"echo": "no"}, {"stream": "true"}, {"best_of": "1"},
    ],
    EMBEDDINGS: [{"dimensions": "8"}, {"encoding_format": 1}, {"user": {}}],
}  # fmt: skip


def body(path, **more):
    return json.dumps(GOOD[path] | more).encode()


class TestRead:
    @pytest.mark.parametrize("path", GOOD)
    def test_takes_what_fits(self, path):
        assert read(path, body(path)) == GOOD[path]

    @pytest.mark.parametrize("path", GOOD)
    def test_takes_null_for_a_field_that_is_not_there(self, path):
        nothing = dict.fromkeys(FIELDS[path])
        assert read(path, body(path, **nothing))["model"] == "m"

    @pytest.mark.parametrize(("path", "more"), [(p, more) for p in WRONG for more in WRONG[p]])
    def test_names_the_field_of_another_type(self, path, more):
        with pytest.raises(BadCall) as refused:
            read(path, body(path, **more))
        assert (refused.value.status, refused.value.code) == (400, "field_invalid")
        assert f"The field {next(iter(more))}" in str(refused.value)

    def test_leaves_what_it_does_not_know_to_the_engine(self):
        assert read(CHAT, body(CHAT, top_k="five"))["top_k"] == "five"
        assert read(EMBEDDINGS, body(EMBEDDINGS, stream="true"))["stream"] == "true"


class TestWithUsage:
    @pytest.mark.parametrize(
        ("given", "asked"),
        [
            (b'{"a":1}', b'{"a":1,"stream_options":{"include_usage":true}}'),
            (b'{"stream_options":null,"a":"\\ud800"}',
             b'{"stream_options":{"include_usage":true},"a":"\\ud800"}'),
            (b'{"stream_options":{"include_usage":false,"x":[{"y":1,"y":2}]}}',
             b'{"stream_options":{"x":[{"y":1,"y":2}],"include_usage":true}}'),
            (b'{"a":1,"a":2}', b'{"a":1,"a":2,"stream_options":{"include_usage":true}}'),
        ],
    )  # fmt: skip
    def test_changes_nothing_else(self, given, asked):
        """A key that stands twice stays so: whoever reads it next must see that."""
        assert with_usage(given) == asked
