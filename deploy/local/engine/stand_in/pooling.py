"""Embeddings and reranks, as vLLM answers them: checking requests, and answers made of the words.

No model is loaded: a vector counts the text's tokens by their digests, and a document's score is
how near its vector is to that of the query. The same text has the same vector. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.local.engine.stand_in.model import Model
from deploy.local.engine.stand_in.protocol import ApiError, Usage, read_call

EMBEDDINGS = "/v1/embeddings"
RERANKS = ("/rerank", "/v1/rerank", "/v2/rerank")
DIMENSIONS = 64
MOST_INPUTS = 2048


@dataclass(frozen=True)
class Pooled:
    """An answer, and what it read."""

    body: dict[str, Any]
    usage: Usage


def embed(model: Model, raw: bytes, served_names: tuple[str, ...]) -> Pooled:
    """Return the vectors of a request's inputs. Raises ApiError as vLLM would answer."""
    body = read_call(raw, served_names)
    texts = [_fitting(model, ids) for ids in _inputs(model, body.get("input"))]
    is_packed = body.get("encoding_format") == "base64"
    found = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _packed(ids) if is_packed else vector(ids),
        }
        for index, ids in enumerate(texts)
    ]
    usage = _usage(texts)
    told = {"prompt_tokens": usage.prompt, "total_tokens": usage.prompt, "completion_tokens": 0}
    return Pooled({"object": "list", "model": served_names[0], "data": found, "usage": told}, usage)


def rerank(model: Model, raw: bytes, served_names: tuple[str, ...]) -> Pooled:
    """Return a request's documents, the nearest to its query first. Raises ApiError."""
    body = read_call(raw, served_names)
    query, documents, wanted = body.get("query"), body.get("documents"), body.get("top_n") or 0
    if not isinstance(query, str) or not isinstance(documents, list) or not documents:
        raise ApiError(400, "Bad Request", "1 validation error: body.documents: Field required")
    if not all(isinstance(document, str) for document in documents):
        raise ApiError(400, "BadRequestError", "the stand-in reranks texts", "documents")
    asked = model.encode(query)
    pairs = [_fitting(model, [*asked, *model.encode(document)]) for document in documents]
    scores = [
        (_nearness(vector(asked), vector(ids[len(asked) :])), index)
        for index, ids in enumerate(pairs)
    ]
    best = sorted(scores, key=lambda found: (-found[0], found[1]))[: wanted or len(scores)]
    results = [
        {"index": index, "document": {"text": documents[index]}, "relevance_score": score}
        for score, index in best
    ]
    usage = _usage(pairs)
    told = {"prompt_tokens": usage.prompt, "total_tokens": usage.prompt}
    return Pooled({"model": served_names[0], "results": results, "usage": told}, usage)


def vector(ids: Sequence[int]) -> list[float]:
    """Return the vector of a text's tokens: of length 1, or 0 where there are none."""
    counts = [0.0] * DIMENSIONS
    for token in ids:
        digest = hashlib.blake2b(str(token).encode(), digest_size=2).digest()
        counts[digest[0] % DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    length = math.sqrt(sum(count * count for count in counts))
    return [count / length for count in counts] if length else counts


def _inputs(model: Model, given: Any) -> list[list[int]]:
    """Return the tokens of each input: one text, several, or tokens."""
    if isinstance(given, str) or (isinstance(given, list) and given and _is_tokens(given)):
        given = [given]
    if not isinstance(given, list) or not given or len(given) > MOST_INPUTS:
        raise ApiError(400, "Bad Request", "1 validation error: body.input: Field required")
    if not all(
        isinstance(one, str) or (isinstance(one, list) and _is_tokens(one)) for one in given
    ):
        raise ApiError(400, "BadRequestError", "input must be text or tokens", "input")
    return [model.encode(one) if isinstance(one, str) else one for one in given]


def _is_tokens(given: list[Any]) -> bool:
    return all(type(token) is int for token in given)


def _fitting(model: Model, ids: list[int]) -> list[int]:
    if len(ids) > model.context_length:
        message = (
            f"This model's maximum context length is {model.context_length} tokens. However, your "
            f"input has {len(ids)} tokens."
        )
        raise ApiError(400, "BadRequestError", message, "input_tokens")
    return ids


def _packed(ids: Sequence[int]) -> str:
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector(ids))).decode()


def _nearness(one: Sequence[float], other: Sequence[float]) -> float:
    return max(0.0, sum(a * b for a, b in zip(one, other, strict=True)))


def _usage(texts: Sequence[Sequence[int]]) -> Usage:
    return Usage(prompt=sum(len(ids) for ids in texts), cached=0, completion=0)
