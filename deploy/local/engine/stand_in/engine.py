"""Produces an answer token by token at a model's pace, and counts what vLLM would count.

Tokens are the model folder's own, so what the gateway meters is what a real engine would have
metered for the same text. The prefix cache is played with the digests of 16-token blocks; no prompt
text is kept.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from deploy.local.engine.stand_in.answers import answer
from deploy.local.engine.stand_in.metrics import Metrics
from deploy.local.engine.stand_in.model import Model
from deploy.local.engine.stand_in.protocol import ApiError, Question, Usage, allowed_tokens
from deploy.local.engine.stand_in.seats import Seats

BLOCK_TOKENS = 16
CACHED_BLOCKS = 4096
PREFILL_TOKENS_PER_SECOND = 4000.0


@dataclass(frozen=True)
class Plan:
    """An answer that is decided and not yet spoken: its pieces, one per token, and what it
    costs.
    """

    pieces: tuple[str, ...]
    reason: str
    usage: Usage

    @property
    def text(self) -> str:
        """Return the whole answer."""
        return "".join(self.pieces)


class PrefixCache:
    """Remembers which beginnings of prompts were seen, in blocks, as vLLM's prefix caching does."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def visit(self, ids: Sequence[int]) -> int:
        """Return how many of the prompt's first tokens were cached, and remember all its full
        blocks.
        """
        digest, hits, unbroken = hashlib.blake2b(digest_size=16), 0, True
        with self._lock:
            # The last token is always computed, so that there is something to continue from.
            for start in range(0, len(ids) - BLOCK_TOKENS, BLOCK_TOKENS):
                digest.update(repr(ids[start : start + BLOCK_TOKENS]).encode())
                key = digest.digest()
                unbroken = unbroken and key in self._blocks
                hits += BLOCK_TOKENS if unbroken else 0
                self._blocks[key] = None
                self._blocks.move_to_end(key)
            while len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return hits


class Engine:
    """One served model: plans answers and speaks them at a pace, a bounded number at a time."""

    def __init__(
        self,
        model: Model,
        metrics: Metrics,
        tokens_per_second: float,
        max_num_seqs: int,
        served_name: str = "",
    ) -> None:
        self.model, self.metrics, self.served_name = model, metrics, served_name
        self._pause = 1 / tokens_per_second if tokens_per_second > 0 else 0.0
        self._seats = Seats(max_num_seqs)
        # As large a cache as lets half the seats hold the longest requests: what vLLM calls its
        # maximum concurrency.
        self.metrics.size_cache(model.context_length * max(1, max_num_seqs // 2))
        self._cache = PrefixCache()

    def plan(self, question: Question) -> Plan:
        """Decide the answer. Raises ApiError where the request does not fit the model."""
        ids = self._prompt_ids(question)
        limit = allowed_tokens(
            question, len(ids), self.model.context_length, self.model.server_max_tokens
        )
        text = _cut_at_stop(answer(question.turns(), self.served_name), question.stop)
        tokens = self.model.encode(text)
        kept = tokens[:limit]
        cached = self._cache.visit(ids)
        pieces = tuple(spoken(self.model, kept))
        # a real model also produces, and counts, the token that ends its turn
        ended = len(tokens) < limit
        usage = Usage(prompt=len(ids), cached=cached, completion=len(kept) + (1 if ended else 0))
        return Plan(pieces=pieces, reason="stop" if ended else "length", usage=usage)

    @contextmanager
    def seat(self, priority: int = 0) -> Iterator[float]:
        """Hold one of the engine's seats; gives the seconds that were spent waiting for it.
        priority: the lower value is taken first.
        """
        asked = time.monotonic()
        self.metrics.move("num_requests_waiting", 1)
        self._seats.take(priority)
        self.metrics.move("num_requests_waiting", -1)
        self.metrics.move("num_requests_running", 1)
        try:
            yield time.monotonic() - asked
        finally:
            self.metrics.move("num_requests_running", -1)
            self._seats.leave()

    def speak(self, plan: Plan) -> Generator[str, None, None]:
        """Yield the answer's pieces at the model's pace and count them; the caller holds a seat."""
        started = time.monotonic()
        self._count_prompt(plan.usage)
        time.sleep(
            (plan.usage.prompt - plan.usage.cached) / PREFILL_TOKENS_PER_SECOND
            if self._pause
            else 0
        )
        previous = first = time.monotonic()
        reason = "abort"
        self.metrics.move_cache(plan.usage.prompt)
        said = 0
        try:
            for number, piece in enumerate(plan.pieces):
                time.sleep(self._pause)
                now = time.monotonic()
                name = (
                    "time_to_first_token_seconds" if number == 0 else "inter_token_latency_seconds"
                )
                self.metrics.observe(name, now - (started if number == 0 else previous))
                previous = now
                said = number + 1
                self.metrics.move_cache(1)
                yield piece
            reason = plan.reason
        finally:
            self.metrics.move_cache(-plan.usage.prompt - said)
            self._count_end(plan, reason, started, first)

    def _prompt_ids(self, question: Question) -> list[int]:
        if not question.chat:
            return self.model.encode(str(question.messages[0]["content"]))
        try:
            return self.model.encode(self.model.render(question.messages))
        except ValueError as error:
            raise ApiError(400, "BadRequestError", str(error)) from error

    def read(self, usage: Usage) -> None:
        """Take the time that reading takes, and count it; the caller holds a seat."""
        started = time.monotonic()
        self._count_prompt(usage)
        time.sleep(usage.prompt / PREFILL_TOKENS_PER_SECOND if self._pause else 0)
        self.metrics.finish("stop")
        self.metrics.observe("e2e_request_latency_seconds", time.monotonic() - started)

    def _count_prompt(self, usage: Usage) -> None:
        self.metrics.add("prompt_tokens", usage.prompt)
        self.metrics.add_by_source("local_compute", usage.prompt - usage.cached)
        self.metrics.add_by_source("local_cache_hit", usage.cached)
        self.metrics.add("prompt_tokens_cached", usage.cached)
        self.metrics.add("prefix_cache_queries", usage.prompt)
        self.metrics.add("prefix_cache_hits", usage.cached)

    def _count_end(self, plan: Plan, reason: str, started: float, first: float) -> None:
        now = time.monotonic()
        self.metrics.add("generation_tokens", plan.usage.completion if reason != "abort" else 0)
        self.metrics.finish(reason)
        self.metrics.observe("e2e_request_latency_seconds", now - started)
        self.metrics.observe("request_inference_time_seconds", now - started)
        self.metrics.observe("request_prefill_time_seconds", first - started)
        self.metrics.observe("request_decode_time_seconds", now - first)
        self.metrics.observe(
            "request_time_per_output_token_seconds", (now - first) / max(1, len(plan.pieces))
        )


def spoken(model: Model, ids: Sequence[int]) -> Iterator[str]:
    """Yield the text each token adds; bytes that are not yet a whole character wait for the next
    token.
    """
    said = ""
    for end in range(1, len(ids) + 1):
        text = model.decode(ids[:end])
        whole = text if end == len(ids) else text.rstrip("\ufffd")
        yield whole[len(said) :]
        said = whole


def _cut_at_stop(text: str, stops: Sequence[str]) -> str:
    ends = [text.index(stop) for stop in stops if stop and stop in text]
    return text[: min(ends)] if ends else text
