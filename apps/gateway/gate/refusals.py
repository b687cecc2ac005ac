"""What a caller hears from the gate who is not let through: the status, and the error in the shape
that OpenAI's clients read. Pure.

Statuses are chosen so that neither the client repeats what cannot succeed, nor the policies'
sentences for Envoy's own refusals (403, 429, 503) take the place of these.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from apps.manifests import gateway

NEVER_AGAIN = {"x-should-retry": "false"}  # what OpenAI's clients obey before the status
# Every code that the gate gives: whoever meets one knows that these are its own words.
CODES = frozenset((
    "answer_unreadable", "answer_unrecorded", "body_too_large", "budget_exceeded",
    "content_encoding", "content_filter", "content_type", "field_invalid", "gate_unavailable",
    "insufficient_quota", "invalid_json", "json_ambiguous", "method_not_allowed",
    "model_not_found", "no_grant",
    "not_inspectable", "not_taken", "not_unicode", "path_not_found", "request_invalid",
    "subject_invalid", "token_endless", "token_incomplete", "too_many_calls", "too_many_parts",
))  # fmt: skip
DETAILS = "qm_"  # how the gate's answers are told from Envoy's own in its access log


@dataclass(frozen=True)
class Guardrail:
    """Which rule refused, in which phase: "request" or "answer"."""

    rule: str
    phase: str


@dataclass(eq=False)  # an exception is itself alone
class Refusal(Exception):
    """A call is not let through. code: for programs; message: for people, and never a word of what
    they sent. headers: beside content-type.
    """

    status: int
    type: str
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    guardrail: Guardrail | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def details(self) -> str:
        """Return what the access log says of it."""
        return f"{DETAILS}{self.code}"

    def error(self) -> dict[str, object]:
        """Return the error as OpenAI's clients read it."""
        said: dict[str, object] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "param": None,
        }
        if self.guardrail:
            said["guardrail"] = {"rule": self.guardrail.rule, "phase": self.guardrail.phase}
        return said

    def body(self) -> bytes:
        """Return the whole answer's body."""
        return json.dumps({"error": self.error()}).encode()


def malformed(what: str, todo: str = "", code: str = "request_invalid") -> Refusal:
    """Return the refusal of a request that is not what it must be. what: which part of it is wrong,
    by its place; todo: what to send instead.
    """
    message = f"{what} {todo}".rstrip()
    return Refusal(400, "invalid_request_error", code, message, NEVER_AGAIN)


def field_invalid(where: str, must: str) -> Refusal:
    """Return the refusal of a field. must: what it must be, as "true or false"."""
    return malformed(f"The field {where} must be {must}.", code="field_invalid")


def not_supported(where: str, why: str) -> Refusal:
    """Return the refusal of a field that no caller may send. why: a whole sentence."""
    return malformed(f"The field {where} is not taken here. {why}", "Leave it out.", "not_taken")


def not_inspectable(where: str) -> Refusal:
    """Return the refusal of tokens in the place of text, where a rule must see the text."""
    return malformed(
        f"The field {where} holds tokens, which the rules of this model cannot read.",
        "Send text.",
        "not_inspectable",
    )


def too_large(most: int) -> Refusal:
    """Return the refusal of a body. most: bytes that a body may have."""
    message = f"The body is larger than the {most:,} bytes that the gateway takes. Send less."
    return Refusal(413, "invalid_request_error", "body_too_large", message, NEVER_AGAIN)


def path_not_found(served: Collection[str]) -> Refusal:
    """Return the refusal of a call to a path that nobody counts. served: the paths there are."""
    message = f"The gateway serves no such path. It serves {', '.join(served)}."
    return Refusal(404, "invalid_request_error", "path_not_found", message, NEVER_AGAIN)


def method_not_allowed() -> Refusal:
    """Return the refusal of anything but a POST."""
    headers = {"Allow": "POST", **NEVER_AGAIN}
    message = "Calls to a model are sent by POST."
    return Refusal(405, "invalid_request_error", "method_not_allowed", message, headers)


def token_endless() -> Refusal:
    """Return the refusal of a token without an end."""
    return _unauthenticated(
        "token_endless",
        "The access token never ends (it has no exp), and such tokens are refused. Get a new one.",
    )


def token_incomplete(claim: str) -> Refusal:
    """Return the refusal of a token that does not say who calls, or who pays. claim: which of its
    claims is missing or odd.
    """
    return _unauthenticated(
        "token_incomplete",
        f"The access token's claim {claim} is missing or not usable, and calls are charged by it. "
        "Sign in again and choose a team, or ask your identity team to send it.",
    )


def _unauthenticated(code: str, message: str) -> Refusal:
    return Refusal(401, "authentication_error", code, message, NEVER_AGAIN)


def unavailable(what: str) -> Refusal:
    """Return the refusal of a call that could not be checked. what: which check, in words."""
    message = (
        f"The gateway could not check this call ({what}), so it was not sent on and nothing was "
        f"charged. Send it again in a few seconds."
    )
    return Refusal(502, "server_error", "gate_unavailable", message, {"Retry-After": "5"})


def unreadable_answer(why: str) -> Refusal:
    """Return what takes the place of an answer that could not be inspected. why: in words."""
    message = (
        f"The gateway could not inspect the model's answer ({why}), so it was not passed on. What "
        f"the model made of it is charged."
    )
    return Refusal(502, "server_error", "answer_unreadable", message, NEVER_AGAIN)


def unrecorded(what: str) -> Refusal:
    """Return what takes the place of an answer that must be recorded and could not be. what: which
    part of the gateway was away, in words.
    """
    message = (
        f"The gateway could not keep a record of the model's answer ({what}), so it was not passed "
        f"on. What the model made of it is charged. Send it again in a few seconds."
    )
    headers = {"Retry-After": "5", **NEVER_AGAIN}
    return Refusal(502, "server_error", "answer_unrecorded", message, headers)


def request_filtered(rule: str, message: str = "") -> Refusal:
    """Return the refusal of a call in which a rule found what may not be sent. message: the rule's
    own words, "" for these.
    """
    words = message or "It holds what may not be sent to this model. Take that part out."
    said = f"The rule {rule} of the gateway's guard refused this call. {words}"
    guardrail = Guardrail(rule, "request")
    return Refusal(
        400, "invalid_request_error", "content_filter", said, NEVER_AGAIN, guardrail=guardrail
    )


def answer_filtered(rule: str, message: str = "") -> Refusal:
    """Return the refusal of an answer in which a rule found what may not leave. message: the
    rule's own words, "" for these.
    """
    words = message or (
        f"The model's answer held what the rule {rule} does not let out, so the gateway ended it."
    )
    guardrail = Guardrail(rule, "answer")
    return Refusal(
        400, "invalid_request_error", "content_filter", words, NEVER_AGAIN, guardrail=guardrail
    )


# -- What limits refuse ----------------------------------------------------------------------------
def not_granted(team: str, model: str, portal_url: str) -> Refusal:
    """Return the refusal of a call to a model that its team has no grant for."""
    message = gateway.not_granted(team, model, portal_url)
    return Refusal(403, "permission_error", "no_grant", message, NEVER_AGAIN)


def model_not_found(model: str) -> Refusal:
    """Return the refusal of a call to a model that there is not."""
    message = f"There is no model {model}. GET /v1/models lists the models there are."
    return Refusal(404, "invalid_request_error", "model_not_found", message, NEVER_AGAIN)


def budget_spent(  # noqa: PLR0913 - each is a part of the sentence
    *,
    scope: str,
    limit: str,
    left: str,
    wanted: str,
    resets: str,
    ask: str,
    url: str,
    others: Sequence[str] = (),
) -> Refusal:
    """Return the refusal of a call that a budget has too little left for. Clients do not repeat it.

    scope: the budget that begins anew last of those that refuse; others: the rest of them. limit,
    left: of its month; wanted: the most that the call may use, "" where its price is not known;
    resets: when it begins anew; ask: whom to ask, without "ask"; url: the budget's page.
    """
    needs = f"This call may use up to {wanted}" if wanted else "What this call costs is not known"
    more = f" Too little is left for {' and '.join(others)} as well." if others else ""
    message = (
        f"The monthly budget of {scope} has too little left for this call. {needs}, and {left} of "
        f"{limit} is left until it begins anew on {resets}.{more} "
        f"Ask {ask} for a boost: {url}"
    )
    return Refusal(402, "insufficient_quota", "insufficient_quota", message, NEVER_AGAIN)


def too_many_tokens(team: str, model: str, *, limit: int, reset: int) -> Refusal:
    """Return the refusal of a call that its minute has too few tokens left for. reset: seconds."""
    message = gateway.too_many_tokens(team, model, limit=f"{limit:,}", retry_after=str(reset))
    headers = {
        "Retry-After": str(reset),
        # what the policies' sentence is filled in with, where it takes this one's place
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-reset": str(reset),
    }
    return Refusal(429, "rate_limit_error", "budget_exceeded", message, headers)


def too_many_calls(team: str, model: str, *, limit: int, reset: int) -> Refusal:
    """Return the refusal of a call while as many as may be are under way. reset: seconds until it
    is worth another try.
    """
    message = (
        f"Team {team} has {limit:,} calls of model {model} under way, as many as it may have at "
        f"once. {gateway.send_again(str(reset))}"
    )
    headers = {
        "Retry-After": str(reset),
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-reset": str(reset),
    }
    return Refusal(429, "rate_limit_error", "too_many_calls", message, headers)
