"""One streamed call through the real gateway, as the signed-in person.

Yields one JSON object a line: {"text"} pieces, then {"done"} with tokens, times and price, or
{"error"} in words. Prompt and answer pass through; nothing of them is stored or logged.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.catalog.models import RegisteredModel
from apps.chargeback.queries import prices_at
from apps.chargeback.rating import Prices, list_cost_usd
from apps.common.money import exact_usd, usd
from apps.gateway.refusals import in_our_words
from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.identity import STAND_IN, is_stand_in
from apps.integrations.engine.types import Delta, GatewayRefusal, Usage
from apps.integrations.errors import TemporaryError


def answer_lines(
    *,
    client: EngineClient,
    model: RegisteredModel,
    prompt: str,
    max_tokens: int,
    temperature: float,
    now: datetime,
) -> Iterator[bytes]:
    """Yield the lines of one answer; errors become a line too, for the response has begun by
    then.
    """
    prices = prices_at(model, now)
    messages = [{"role": "user", "content": prompt}]
    try:
        with client:
            pieces = client.stream_chat(
                model=model.name, messages=messages, max_tokens=max_tokens, temperature=temperature
            )
            for piece in pieces:
                yield _line(
                    {"text": piece.text} if piece.text else {"done": _summary(piece, prices)}
                )
    except GatewayRefusal as refusal:
        facts = {
            "status": refusal.status,
            "retry_after": refusal.retry_after,
            "request_id": refusal.request_id,
        }
        words = in_our_words(
            refusal.status,
            refusal.message,
            code=refusal.code,
            context_length=model.context_length,
        )
        yield _line({"error": {"message": words, **facts}})
    except TemporaryError as error:
        yield _line(
            {"error": {"message": str(error), "status": 503, "retry_after": error.retry_after}}
        )


def _summary(piece: Delta, prices: Prices | None) -> dict[str, Any]:
    usage = piece.usage
    cost = _cost(usage, prices)
    return {
        "input_tokens": usage.input_tokens if usage else None,
        "cached_input_tokens": usage.cached_input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "ttft_ms": round(piece.ttft_ms) if piece.ttft_ms is not None else None,
        "latency_ms": round(piece.latency_ms) if piece.latency_ms is not None else None,
        "cost_usd": None if cost is None else usd(cost),
        "cost_usd_exact": exact_usd(cost),
        "finish_reason": piece.finish_reason,
        "version": piece.model,
        "stand_in": is_stand_in(piece.engine) or STAND_IN in piece.system_fingerprint,
        "request_id": piece.request_id,
    }


def _cost(usage: Usage | None, prices: Prices | None) -> Decimal | None:
    if usage is None or prices is None:
        return None
    return list_cost_usd(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        prices=prices,
    )


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"
