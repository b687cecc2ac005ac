"""What callers hear of the gate: every code is known, and every sentence ends."""

import ast
import json
from pathlib import Path

import pytest

from apps.gateway.gate import refusals
from apps.gateway.gate.refusals import CODES, Guardrail, Refusal

GATEWAY = Path(refusals.__file__).parents[1]


def codes() -> set[str]:
    """Return every text that is a refusal's code in the gate's modules: the third argument of
    Refusal and Blocked, and what `malformed` and `_unauthenticated` take as one.
    """
    found = set()
    for file in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = {"Refusal": 2, "Blocked": 2, "malformed": 2, "_unauthenticated": 0}.get(name)
            given = node.args[place : place + 1] if place is not None else []
            given += [word.value for word in node.keywords if word.arg == "code"]
            texts = (part.value for part in given if isinstance(part, ast.Constant))
            found |= {text for text in texts if place is not None and isinstance(text, str)}
    return found


def test_every_code_is_known():
    assert {"not_taken", "json_ambiguous", "token_endless", "gate_unavailable"} <= codes()
    assert codes() <= CODES


@pytest.mark.parametrize(
    ("found", "status", "retried"),
    [
        (refusals.malformed("It is wrong."), 400, "false"),
        (refusals.field_invalid("n", "a whole number"), 400, "false"),
        (refusals.not_supported("priority", "It is not yours."), 400, "false"),
        (refusals.not_inspectable("prompt"), 400, "false"),
        (refusals.too_large(5), 413, "false"),
        (refusals.path_not_found(["/a"]), 404, "false"),
        (refusals.method_not_allowed(), 405, "false"),
        (refusals.model_not_found("m"), 404, "false"),
        (refusals.token_endless(), 401, "false"),
        (refusals.token_incomplete("team"), 401, "false"),
        (refusals.unreadable_answer("it is odd"), 502, "false"),
        (refusals.unrecorded("the database"), 502, "false"),
        (refusals.unavailable("the database"), 502, None),
    ],
)
def test_tell_clients_whether_to_send_again(found: Refusal, status: int, retried: str | None):
    assert (found.status, found.headers.get("x-should-retry")) == (status, retried)
    assert found.code in CODES
    assert found.details == f"qm_{found.code}"
    assert str(found) == found.message
    assert found.message.endswith(".") and "  " not in found.message
    assert json.loads(found.body()) == {
        "error": {
            "message": found.message, "type": found.type, "code": found.code, "param": None,
        }
    }  # fmt: skip


def test_name_the_rule_and_the_half_of_the_call():
    found = Refusal(400, "t", "content_filter", "No.", guardrail=Guardrail("leaks", "answer"))
    assert found.error()["guardrail"] == {"rule": "leaks", "phase": "answer"}
    ended = refusals.answer_filtered("leaks")
    assert ended.error()["guardrail"] == {"rule": "leaks", "phase": "answer"}
    assert (ended.status, ended.code) == (400, "content_filter")
    assert "leaks" in ended.message
    assert refusals.answer_filtered("leaks", "Not so.").message == "Not so."


def test_have_the_statuses_that_policies_say_nothing_else_for():
    """The policies' sentences take the place of 403, 429 and 503 of anybody but the engine."""
    assert refusals.unavailable("x").status == 502
    assert refusals.unavailable("x").headers["Retry-After"] == "5"
    assert refusals.unrecorded("x").headers["Retry-After"] == "5"
