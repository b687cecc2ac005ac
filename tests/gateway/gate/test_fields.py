"""What each field must be, in a table of its own: one that is forgotten would pass as anything."""

import pytest

from apps.gateway.gate import fields
from apps.gateway.gate.refusals import Refusal
from tests.gateway.gate.odd import CHAT, COMPLETIONS, EMBEDDINGS, RERANK, body

OPERATIONS = {
    "CHAT": CHAT, "COMPLETION": COMPLETIONS, "EMBEDDING": EMBEDDINGS, "RERANK": RERANK,
}  # fmt: skip
WRITING = (
    "flag add_special_tokens, flag echo, flag ignore_eos, flag include_stop_str_in_output, "
    "flag skip_special_tokens, flag use_beam_search, whole best_of, whole max_tokens, "
    "whole min_tokens, whole n, whole prompt_logprobs, whole seed, whole stream_interval, "
    "whole thinking_token_budget, whole top_k, whole truncate_prompt_tokens, "
    "number frequency_penalty, number length_penalty, number min_p, number presence_penalty, "
    "number repetition_penalty, number temperature, number top_p, numbers logit_bias, "
    "wholes allowed_token_ids, wholes stop_token_ids, texts bad_words, stop stop, "
    "object response_format, object stream_options, object structured_outputs"
)
EVERY = "text user, whole priority, flag stream"
TABLE = {
    "CHAT": f"{EVERY}, {WRITING}, flag add_generation_prompt, flag continue_final_message, "
    "flag include_reasoning, flag logprobs, flag parallel_tool_calls, object audio, "
    "object chat_template_kwargs, objects documents, whole max_completion_tokens, "
    "objects messages, texts modalities, object prediction, text reasoning_effort, "
    "text service_tier, object thinking, choice tool_choice, objects tools, whole top_logprobs, "
    "text verbosity, object web_search_options",
    "COMPLETION": f"{EVERY}, {WRITING}, whole logprobs, list prompt, text suffix",
    "EMBEDDING": f"{EVERY}, whole dimensions, text encoding_format, list input, "
    "whole truncate_prompt_tokens",
    "RERANK": f"{EVERY}, texts documents, whole max_tokens_per_doc, text query, whole top_n, "
    "whole truncate_prompt_tokens",
}
# kind → what it is called, what it may be (of what passes every other rule), what it may not
KINDS: dict[str, tuple[str, list[object], list[object]]] = {
    "flag": ("true or false", [False], [0, "false", [], {}]),
    "whole": (
        "a whole number", [0, 2**63 - 1, -(2**63)], [1.0, True, "1", [], 2**63, -(2**63) - 1]
    ),
    "number": ("a number", [1, 0.5, -2], ["1", True, [], {}, float("inf"), float("nan")]),
    "numbers": ("an object of numbers", [{}, {"5": -1, "6": 0.5}], [[], {"5": "1"}, "x", 1]),
    "wholes": ("an array of whole numbers", [[], [1, 2]], [[1, "2"], {}, "1", 1, [True]]),
    "text": ("a string", ["x"], [1, True, [], {}]),
    "texts": ("an array of strings", [["a"]], ["a", [1], ["a", None], {}, 1]),
    "stop": ("a string or an array of strings", ["a", ["a"], []], [1, [1], {}, True]),
    "object": ("an object", [{}], [[], "x", 1, True]),
    "objects": ("an array of objects", [[{"role": "user"}]], [{}, ["x"], "x", [[]], 1]),
    "choice": ("a string or an object", ["auto", {}], [[], 1, True]),
    "list": ("a string, an array of strings or tokens", ["a", ["a"], [1]], [{}, 1, True]),
}  # fmt: skip
ROWS = [
    (operation, *row.split(" ")) for operation, rows in TABLE.items() for row in rows.split(", ")
]


def check(operation: str, **more: object) -> None:
    fields.check(operation, body(OPERATIONS[operation], **more))


@pytest.mark.parametrize(("operation", "kind", "name"), ROWS)
def test_each_field_is_what_it_must_be(operation, kind, name):
    words, good, bad = KINDS[kind]
    for value in good:
        check(operation, **{name: value})
    if name not in ("messages", "prompt", "input", "query") and (operation, name) != (
        "RERANK", "documents",
    ):  # fmt: skip
        check(operation, **{name: None})
    for value in bad:
        with pytest.raises(Refusal) as refused:
            check(operation, **{name: value})
        assert refused.value.message == f"The field {name} must be {words}."


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_field_is_known_that_the_table_lacks(operation):
    told = {name for kind, name in (row[1:] for row in ROWS if row[0] == operation)}
    assert set(fields._OF[operation]) == told | {"model"}


@pytest.mark.parametrize(("operation", "kind", "name"), ROWS)
def test_what_can_hold_no_text_is_not_looked_through(operation, kind, name):
    blind = kind in ("flag", "whole", "number", "numbers", "wholes")
    assert fields.has_no_text(operation, name) is blind


def test_fields_of_other_calls_and_of_engines_to_come_are_left_alone():
    check("EMBEDDING", top_k="five", messages=None)
    check("CHAT", something={"new": 1}, prompt=7)
    check("COMPLETION", messages=["x"])


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool"])
def test_messages_are_of_known_roles_and_parts(role):
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]
    parts += [
        {"type": kind, kind: {"url": "data:,x"}, "uuid": None}
        for kind in ("image_url", "audio_url", "input_audio", "video_url")
    ]
    message = {"role": role, "content": parts, "tool_calls": [{}], "tool_call_id": "x", "name": "y"}
    check("CHAT", messages=[message, {"role": role, "content": None}, {"role": role}])
    for odd in ({"tool_calls": {}}, {"tool_call_id": 7}, {"name": []}, {"tool_calls": ["x"]}):
        with pytest.raises(Refusal) as refused:
            check("CHAT", messages=[{"role": role}, {**message, **odd}])
        assert f"messages[1].{next(iter(odd))} must be" in refused.value.message
    with pytest.raises(Refusal) as refused:
        check("CHAT", messages=[{"role": role, "content": [*parts, {"type": "refusal"}]}])
    assert "messages[0].content[6].refusal must be a string" in refused.value.message


@pytest.mark.parametrize(
    "name",
    ["chat_template", "ec_transfer_params", "kv_transfer_params", "prompt_embeds",
     "return_token_ids", "return_tokens_as_token_ids", "vllm_xargs"],
)  # fmt: skip
@pytest.mark.parametrize("operation", OPERATIONS)
def test_some_fields_are_nobodys(operation, name):
    for value in (True, "x", {}, 0):
        with pytest.raises(Refusal) as refused:
            check(operation, **{name: value})
        assert refused.value.message.startswith(f"The field {name} is not taken here. ")
        assert refused.value.message.endswith(". Leave it out.")


@pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url"])
@pytest.mark.parametrize(
    "link",
    ["http://169.254.169.254/latest/meta-data", "https://a.example/x.png", "file:///etc/passwd",
     "//a.example/x", " data:,x", "DATA:,x", "", None, 7, ["data:,x"], {"data": "data:,x"}],
)  # fmt: skip
def test_nothing_is_fetched_from_where_a_caller_says(kind, link):
    """An engine would fetch it from within the cluster, and no rule would see what came."""
    for held, place in ((link, kind), ({"url": link}, f"{kind}.url")):
        part = {"type": kind, kind: held}
        with pytest.raises(Refusal) as refused:
            check("CHAT", messages=[{"role": "user", "content": [part]}])
        problem = refused.value
        assert (problem.status, problem.code) == (400, "field_invalid")
        at = f"{kind}.url" if isinstance(held, dict) else place
        assert problem.message == (
            f"The field messages[0].content[0].{at} must be a data: URI, for engines fetch nothing "
            "from elsewhere."
        )


@pytest.mark.parametrize("kind", ["text", "image_url", "input_audio"])
def test_no_part_is_read_as_another_than_it_says(kind):
    """With a uuid, engines look past the type: a text could be a picture from anywhere."""
    held = {"url": "data:,x"} if kind == "image_url" else "a"
    part = {"type": kind, kind: held, "uuid": "x", "image_embeds": "AAAA"}
    with pytest.raises(Refusal) as refused:
        check("CHAT", messages=[{"role": "user", "content": [part]}])
    assert refused.value.code == "not_taken"
    assert "messages[0].content[0].uuid is not taken here" in refused.value.message


def test_a_chat_is_not_embedded():
    with pytest.raises(Refusal) as refused:
        check("EMBEDDING", messages=[{"role": "user", "content": "x"}])
    assert refused.value.message.startswith("The field messages is not taken here. ")
