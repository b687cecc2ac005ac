"""One rule's look at texts: within its time, and what it means that it failed.

A rule that cannot look closes: the call or the rest of the answer is refused. A rule that says
FailOpen lets it pass, and says so loudly: in the log, and as a finding that goes on record and on
the page. What a provider raised is not repeated, for it may hold the text.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.gateway.gate.calls import Text
from apps.gateway.gate.steps import Does, Finding
from apps.gateway.guard.detectors.hits import Hit
from apps.gateway.guard.providers import Provider

log = logging.getLogger(__name__)
NOT_INSPECTED = "NOT_INSPECTED"  # the detector of the finding that a rule let a text pass unseen
MASK = "[REDACTED]"


class NotInspected(Exception):
    """A rule could not look, and closes. The text says which and why, for the caller."""


@dataclass(frozen=True)
class ReadyRule:
    """A rule in force, ready to look. timeout_seconds: for one look, of which a
    long answer takes several.
    is_leak: only what the prompt did not hold counts, in answers. mask: what takes a find's place.
    message: what callers read where it blocks, "" for the gate's own words.
    """

    name: str
    provider: Provider
    does: Does
    fails_closed: bool = True
    timeout_seconds: float = 10.0
    is_leak: bool = False
    mask: str = MASK
    message: str = ""


@dataclass(frozen=True)
class Looked:
    """What a rule found, by text, in their order. is_open: it could not look and let them pass."""

    hits: tuple[tuple[Hit, ...], ...]
    is_open: bool = False


async def look(rule: ReadyRule, texts: Sequence[Text]) -> Looked:
    """Return what a rule finds. Raises NotInspected."""
    named = [replace(text, where=str(number)) for number, text in enumerate(texts)]
    try:
        found = rule.provider.at_once(named)
        if found is None:
            async with asyncio.timeout(rule.timeout_seconds):
                found = await rule.provider.find(named)
    except TimeoutError:
        return _failed(rule, len(texts), "did not answer in time")
    except Exception as problem:
        log.warning("guard rule %s: %s", rule.name, type(problem).__name__)
        return _failed(rule, len(texts), "could not look")
    if not found:
        return Looked(((),) * len(texts))
    return Looked(
        tuple(
            tuple(replace(hit, where=text.where) for hit in found if hit.where == str(number))
            for number, text in enumerate(texts)
        )
    )


def _failed(rule: ReadyRule, texts: int, why: str) -> Looked:
    if rule.fails_closed:
        log.warning(
            "guard rule %s %s and closes: a text that it did not see is refused", rule.name, why
        )
        raise NotInspected(f"the guard's rule {rule.name} {why}")
    log.error("guard rule %s %s and is open: a text passed that it did not see", rule.name, why)
    return Looked(((),) * texts, is_open=True)


def not_inspected(rule: ReadyRule, phase: str, where: str) -> Finding:
    """Return the finding that says that a rule let a text pass unseen."""
    return Finding(rule.name, NOT_INSPECTED, Does.MONITOR, phase, where)
