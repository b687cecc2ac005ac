"""Requests that the gate must refuse, and what it says of each: for the reader and for a gate that
runs.
"""

import json
from typing import Any

CANARY = "CANARY-7f3a 123-45-6789"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EMBEDDINGS, RERANK = "/v1/embeddings", "/cohere/v2/rerank"
_GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": CANARY}]},
    COMPLETIONS: {"prompt": CANARY},
    EMBEDDINGS: {"input": CANARY},
    RERANK: {"query": CANARY, "documents": [CANARY, "two"]},
}


def body(path: str = CHAT, /, model: str = "summary", **more: Any) -> dict[str, Any]:
    """Return a good body with some fields of another kind."""
    return {"model": model, **_GOOD[path], **more}


def raw(text: str) -> bytes:
    """Return a chat's body whose JSON ends with this."""
    start = json.dumps(body())[:-1]
    return f"{start}, {text}}}".encode()


def _message(**more: Any) -> dict[str, Any]:
    return body(messages=[{"role": "user", "content": CANARY, **more}])


def _parts(*parts: Any) -> dict[str, Any]:
    return body(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, *parts]}])


# path, body as JSON or bytes, the error's code, a part of its sentence
FIELDS: list[tuple[str, Any, str, str]] = [
    (CHAT, body(stream="true"), "field_invalid", "stream must be true or false"),
    (CHAT, body(stream=1), "field_invalid", "stream must be true or false"),
    (CHAT, body(stream=[True]), "field_invalid", "stream must be true or false"),
    (COMPLETIONS, body(COMPLETIONS, stream="yes"), "field_invalid", "stream must be"),
    (CHAT, body(stream=True, stream_options=[]), "field_invalid", "stream_options must be an obj"),
    (CHAT, body(stream=True, stream_options="x"), "field_invalid", "stream_options must be an obj"),
    (CHAT, body(stream=True, stream_options={"include_usage": 1}), "field_invalid",
     "stream_options.include_usage must be true or false"),
    (CHAT, body(stream=True, stream_options={"Include_Usage": False}), "field_invalid",
     "include_usage is written in other letters"),
    (CHAT, body(stream_options={"include_usage": True}), "field_invalid", "left out where stream"),
    (EMBEDDINGS, body(EMBEDDINGS, stream=True), "field_invalid", "stream must be left out"),
    (EMBEDDINGS, body(EMBEDDINGS, stream="true"), "field_invalid", "stream must be true or false"),
    (RERANK, body(RERANK, stream=True), "field_invalid", "stream must be left out"),
    (CHAT, body(best_of=5), "field_invalid", "best_of must be between 1 and 4"),
    (CHAT, body(best_of="1"), "field_invalid", "best_of must be a whole number"),
    (CHAT, body(Stream=True), "field_invalid", "stream is written in other letters"),
    (CHAT, body(**{"ſtream": True}), "field_invalid", "stream is written in other letters"),
    (CHAT, _message(Content="x"), "field_invalid", "content is written in other letters"),
    (CHAT, body(n=0), "field_invalid", "n must be between 1 and 4"),
    (CHAT, body(n=-1), "field_invalid", "n must be between 1 and 4"),
    (CHAT, body(n=5), "field_invalid", "n must be between 1 and 4"),
    (CHAT, body(n=1.0), "field_invalid", "n must be a whole number"),
    (CHAT, body(n=True), "field_invalid", "n must be a whole number"),
    (COMPLETIONS, body(COMPLETIONS, best_of=5), "field_invalid", "best_of must be between 1 and 4"),
    (COMPLETIONS, body(COMPLETIONS, n=3, best_of=2), "field_invalid", "best_of must be between 3"),
    (CHAT, body(max_tokens=0), "field_invalid", "max_tokens must be between 1 and 8,192"),
    (CHAT, body(max_tokens=8193), "field_invalid", "max_tokens must be between 1 and 8,192"),
    (CHAT, body(max_tokens="9"), "field_invalid", "max_tokens must be a whole number"),
    (CHAT, body(max_completion_tokens=8193), "field_invalid", "max_completion_tokens must be betw"),
    (CHAT, body(max_tokens=5, max_completion_tokens=6), "field_invalid", "the same as max_compl"),
    (COMPLETIONS, body(COMPLETIONS, max_tokens=0), "field_invalid", "between 1 and 8,192"),
    (CHAT, body(priority=-5), "not_taken", "priority is not taken here"),
    (COMPLETIONS, body(COMPLETIONS, priority=1), "not_taken", "priority is not taken here"),
    (RERANK, body(RERANK, priority=1), "not_taken", "priority is not taken here"),
    (CHAT, body(priority="0"), "field_invalid", "priority must be a whole number"),
    (CHAT, body(chat_template="{{ x }}"), "not_taken", "chat_template is not taken here"),
    (CHAT, body(return_token_ids=True), "not_taken", "return_token_ids is not taken here"),
    (CHAT, body(kv_transfer_params={"a": CANARY}), "not_taken", "kv_transfer_params is not taken"),
    (COMPLETIONS, body(COMPLETIONS, prompt_embeds=CANARY), "not_taken", "prompt_embeds is not"),
    (CHAT, body(stream=True, include_reasoning=False), "field_invalid", "continuous_usage_stats"),
    (CHAT, body(stream=True, include_reasoning=False, stream_options={
        "continuous_usage_stats": True}), "field_invalid", "where include_reasoning is false"),
    (CHAT, body(stream=True, stream_interval=50), "field_invalid", "stream_interval must be 1"),
    (CHAT, body(temperature="1"), "field_invalid", "temperature must be a number"),
    (CHAT, body(logit_bias={"5": "1"}), "field_invalid", "logit_bias must be an object of numbers"),
    (CHAT, body(stop=[CANARY, 1]), "field_invalid", "stop must be a string or an array of strings"),
    (CHAT, body(tools={"a": 1}), "field_invalid", "tools must be an array of objects"),
    (CHAT, body(messages={}), "field_invalid", "messages must be an array of objects"),
    (CHAT, body(messages=[]), "field_invalid", "messages must be an array of objects, and not be"),
    (CHAT, body(messages=[CANARY]), "field_invalid", "messages must be an array of objects"),
    (CHAT, {"model": "summary"}, "field_invalid", "messages must be"),
    (CHAT, _message(role=CANARY), "field_invalid", "messages[0].role must be user, assistant"),
    (CHAT, _message(role=["user"]), "field_invalid", "messages[0].role must be"),
    (CHAT, _message(content=5), "field_invalid", "messages[0].content must be a string or an arr"),
    (CHAT, _message(content={"text": CANARY}), "field_invalid", "messages[0].content must be"),
    (CHAT, _message(name=7), "field_invalid", "messages[0].name must be a string"),
    (CHAT, _parts(CANARY), "field_invalid", "messages[0].content[1] must be an object"),
    (CHAT, _parts({"text": CANARY}), "field_invalid", "messages[0].content[1].type must be text"),
    (CHAT, _parts({"type": CANARY}), "field_invalid", "messages[0].content[1].type must be text"),
    (CHAT, _parts({"type": ["text"]}), "field_invalid", "messages[0].content[1].type must be"),
    (CHAT, _parts({"type": "text", "text": 5}), "field_invalid", "content[1].text must be a str"),
    (CHAT, _parts({"type": "image_embeds", "image_embeds": "x"}), "field_invalid", "[1].type must"),
    (CHAT, _parts({"type": "image_url", "image_url": {"url": f"http://{CANARY}/"}}),
     "field_invalid", "messages[0].content[1].image_url.url must be a data: URI"),
    (CHAT, _parts({"type": "text", "text": "a", "uuid": CANARY, "image_url": f"http://{CANARY}"}),
     "not_taken", "messages[0].content[1].uuid is not taken"),
    (EMBEDDINGS, body(EMBEDDINGS, messages=[{"role": "user", "content": CANARY}]), "not_taken",
     "messages is not taken"),
    (COMPLETIONS, body(COMPLETIONS, prompt=[1, 2]), "not_inspectable", "prompt holds tokens"),
    (COMPLETIONS, body(COMPLETIONS, prompt=[[1], [2]]), "not_inspectable", "prompt holds tokens"),
    (COMPLETIONS, body(COMPLETIONS, prompt=[CANARY, 2]), "field_invalid", "prompt must be"),
    (COMPLETIONS, body(COMPLETIONS, prompt=[[CANARY]]), "field_invalid", "prompt must be"),
    (COMPLETIONS, body(COMPLETIONS, prompt=""), "field_invalid", "prompt must be a string, an arr"),
    (EMBEDDINGS, body(EMBEDDINGS, input=[7]), "not_inspectable", "input holds tokens"),
    (EMBEDDINGS, body(EMBEDDINGS, input={"a": CANARY}), "field_invalid", "input must be a string"),
    (RERANK, body(RERANK, documents=[{"text": CANARY}]), "field_invalid", "documents must be"),
    (RERANK, body(RERANK, query=None), "field_invalid", "query must be a string, and not be empty"),
]  # fmt: skip
MODELS: list[tuple[str, Any, str, str]] = [
    (CHAT, {**body(), "model": model}, "field_invalid", "model must be the name of a model")
    for model in (None, "", 5, ["summary"], "sum\nmary", "ſummary")
]
BODIES: list[tuple[str, Any, str, str]] = [
    (CHAT, b"", "invalid_json", "not valid JSON (line 1, column 1)"),
    (CHAT, CANARY.encode(), "invalid_json", "not valid JSON (line 1, column 1)"),
    (CHAT, b"[]", "invalid_json", "must be a JSON object"),
    (CHAT, b'"x"', "invalid_json", "must be a JSON object"),
    (CHAT, json.dumps(body()).encode() + b"{}", "invalid_json", "not valid JSON"),
    (CHAT, raw('"stream": tru'), "invalid_json", "not valid JSON"),
    (CHAT, b'{"a": "\x01"}', "invalid_json", "not valid JSON"),
    (CHAT, json.dumps(body()).encode("utf-16"), "invalid_json", "not UTF-8 (at byte 1)"),
    (CHAT, json.dumps(body()).encode("utf-16-le"), "invalid_json", "not valid JSON"),
    (CHAT, json.dumps(body()).encode("utf-8-sig"), "invalid_json", "begins with a byte order mark"),
    (CHAT, b'{"a": "\xed\xa0\x80"}', "invalid_json", "not UTF-8 (at byte 8)"),
    (CHAT, b'{"a": "\xff"}', "invalid_json", "not UTF-8 (at byte 8)"),
    (CHAT, raw('"stream": false, "stream": true'), "json_ambiguous", "A key stands twice"),
    (CHAT, raw('"model": "other"'), "json_ambiguous", "A key stands twice"),
    (CHAT, raw(f'"x": [{{"y": [{{"{CANARY}": 1, "{CANARY}": 2}}]}}]'), "json_ambiguous", "Send"),
    (CHAT, raw('"\\u0078": 1, "x": 2'), "json_ambiguous", "A key stands twice"),
    (CHAT, raw('"temperature": NaN'), "json_ambiguous", "The body holds NaN"),
    (CHAT, raw('"x": [-Infinity]'), "json_ambiguous", "The body holds -Infinity"),
    (CHAT, raw('"temperature": 1e999'), "json_ambiguous", "too large or too long"),
    (CHAT, raw(f'"x": 0.{"1" * 50}'), "json_ambiguous", "too large or too long"),
    (CHAT, raw(f'"x": {"9" * 21}'), "json_ambiguous", "more than 64 bits"),
    (CHAT, raw(f'"n": {"9" * 5000}'), "json_ambiguous", "more than 64 bits"),
    (CHAT, raw(f'"seed": {2**63}'), "field_invalid", "seed must be a whole number"),
    (CHAT, raw('"x": "\\ud800"'), "not_unicode", "half of a surrogate pair"),
    (CHAT, raw('"x": "\\uDFFF\\uD800"'), "not_unicode", "half of a surrogate pair"),
    (CHAT, raw('"\\ud83d": 1'), "not_unicode", "half of a surrogate pair"),
    (CHAT, raw('"x": ' + "[" * 200 + "]" * 200), "invalid_json", "nested too deeply"),
    (CHAT, raw('"x": ' + "[" * 50_000 + "]" * 50_000), "invalid_json", "nested too deeply"),
    (CHAT, raw('"x": ' + '{"a":' * 5_000 + "1" + "}" * 5_000), "invalid_json", "nested too deeply"),
    (CHAT, raw('"x": [' + "1," * 60_000 + "1]"), "too_many_parts", "more parts"),
    (CHAT, raw('"x": [' + "1," * 200_000 + "1]"), "too_many_parts", "more parts"),
    (CHAT, raw('"x": [' + "{}," * 15_000 + "1]"), "too_many_parts", "more parts"),
    (CHAT, raw('"x": [' + "[]," * 15_000 + '"a",' * 8_000 + "1]"), "too_many_parts", "more parts"),
    (CHAT, raw('"x": [' + '"a",' * 15_000 + "1]"), "too_many_parts", "more parts"),
]  # fmt: skip
ODD = FIELDS + MODELS + BODIES
