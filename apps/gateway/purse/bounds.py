"""The most that a call may use, in tokens and money, and what a call that ended costs. Pure.

No text has more tokens than bytes, so a prompt has at most the tokens of its body's bytes and of
what the version's chat template writes around it; a tokenizer that normalizes text first can make
more of some characters, which is added. What a call costs at most is counted with the dearest price
of each kind; what has no price costs nothing that anybody knows.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from apps.chargeback.rating import Prices, cost_usd
from apps.gateway.gate.answers import Used
from apps.gateway.gate.calls import Call
from apps.metering.gate.counts import Basis
from apps.metering.models import Operation
from apps.metering.skus import Sku

# Of a version whose files tell no chat template: more than the longest preamble that we have seen.
UNKNOWN_OVERHEAD = 512
START_AND_END = 8  # tokens that a tokenizer puts around a text by itself
MOST_TOLD = 10**12
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_CODE = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)


def overhead(chat_template: str) -> int:
    """Return how many tokens a chat template may write around a caller's messages, at most: the
    bytes of every text that stands in it. What it repeats for each message is less than the JSON of
    that message. "": not known.
    """
    if not chat_template:
        return UNKNOWN_OVERHEAD
    template = _COMMENT.sub("", chat_template)
    quoted = [a or b for code in _CODE.findall(template) for a, b in _QUOTED.findall(code)]
    texts = [_CODE.sub("", template), *quoted]
    return START_AND_END + sum(len(text.encode()) for text in texts)


@dataclass(frozen=True)
class Bound:
    """The most that a call may use. tokens: in and out; usd: None where nothing of it has a
    price; prompt: of the tokens, those that are read.
    """

    tokens: int
    usd: Decimal | None
    prompt: int


def bound(call: Call, *, context: int, overhead: int, prices: Prices) -> Bound:
    """Return the most that a call may use. context: the model's, in tokens; overhead: of the
    dearest version that may answer.

    Prompt and answer of each choice share the context, so the most is used where either of them is
    as long as it can be.
    """
    if call.operation == Operation.RERANK:
        return Bound(0, money(prices, {Sku.RERANK_REQUEST: 1}), 0)
    read = context if call.has_images else len(call.body) + _growth(call) + overhead
    if call.operation == Operation.EMBEDDING:
        # each of its texts has the whole context, so that their sum has no other bound
        return Bound(read, money(prices, {Sku.EMBEDDING_INPUT: read}), read)
    answer = min(context, context if call.max_tokens is None else call.max_tokens)
    if call.operation == Operation.COMPLETION and call.n > 1:
        # `n` may be many prompts, each with a context of its own
        pairs: tuple[tuple[int, int], ...] = ((read + call.n * START_AND_END, answer),)
    else:
        prompt = min(context, read)
        pairs = ((min(prompt, context - answer), answer), (prompt, min(answer, context - prompt)))
    costs = [
        money(prices, {_dearest_input(prices): of_prompt, Sku.OUTPUT: call.n * of_answer})
        for of_prompt, of_answer in pairs
    ]
    known = [usd for usd in costs if usd is not None]
    tokens = max(of_prompt + call.n * of_answer for of_prompt, of_answer in pairs)
    return Bound(tokens, max(known) if known else None, pairs[-1][0])


def _growth(call: Call) -> int:
    """Return how many bytes the call's texts gain where a tokenizer normalizes them."""
    return sum(
        max(0, len(unicodedata.normalize("NFKC", text.text).encode()) - len(text.text.encode()))
        for text in call.texts
        if not text.text.isascii() and not unicodedata.is_normalized("NFKC", text.text)
    )


def _dearest_input(prices: Prices) -> Sku:
    cached, whole = prices.cached_input, prices.input
    return Sku.CACHED_INPUT if cached is not None and cached > (whole or 0) else Sku.INPUT


def money(prices: Prices, quantities: dict[Sku, int]) -> Decimal | None:
    """Return what quantities cost, as the ledger counts it: of what has a price. None where nothing
    of it has; nothing used costs 0.
    """
    by_sku = prices.by_sku
    used = {sku: quantity for sku, quantity in quantities.items() if quantity}
    priced = [cost_usd(sku, used[sku], by_sku[sku]) for sku in used if sku in by_sku]
    if used and not priced:
        return None
    return sum(priced, Decimal(0))


@dataclass(frozen=True)
class Cost:
    """What a call used: tokens in and out, and USD as in Bound."""

    tokens: int
    usd: Decimal | None


NO_COST = Cost(0, Decimal(0))


def cost(call: Call, used: Used, *, prices: Prices, prompt: int) -> Cost:
    """Return what a call used, as the ledger will count it. prompt: the most that it read, which is
    taken where nobody told, until the ledger knows better.
    """
    if used.basis == Basis.NOTHING:
        return NO_COST
    if call.operation == Operation.RERANK:
        return Cost(0, money(prices, {Sku.RERANK_REQUEST: 1}))
    read = prompt if used.input_tokens is None else _sane(used.input_tokens)
    written = _sane(used.output_tokens or 0)
    if call.operation == Operation.EMBEDDING:
        return Cost(read, money(prices, {Sku.EMBEDDING_INPUT: read}))
    cached = min(_sane(used.cached_input_tokens or 0), read)
    quantities = {Sku.INPUT: read - cached, Sku.CACHED_INPUT: cached, Sku.OUTPUT: written}
    return Cost(read + written, money(prices, quantities))


def _sane(told: int) -> int:
    """Return a count that can be one. An engine that tells another is found by the ledger."""
    return min(max(told, 0), MOST_TOLD)
