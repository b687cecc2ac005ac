"""`make bench-guard`: how much of made-up texts the guard's shipped rules find, how often they are
wrong, and what they cost.

Only templates that no rule was written against are measured (labeled.py). `--keep` writes what was
measured to the file that the portal's page shows. Costs are milliseconds per 4,000 characters and,
as a ratio, times one SHA-256 over 16 MiB in the same run.
"""

import argparse
import hashlib
import json
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from apps.common.canonical import digest_of
from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.hits import Detector
from apps.gateway.guard.detectors.injection.detector import Injection
from apps.gateway.guard.detectors.member_data import member_data
from apps.gateway.guard.detectors.secrets import secrets
from apps.gateway.guard.measured import FILE
from apps.gateway.guard.rules import Phase, Provider, Rule
from apps.gateway.guard.shipped import SHIPPED
from tests.benchmarks.guard import injected, leaked, members
from tests.benchmarks.guard.labeled import Half, Labeled
from tests.benchmarks.report import Result, show

SEED, EACH, TURNS = 20261127, 60, 40
PAGE = 4_000
REFERENCE = 16 << 20
DETECTORS: dict[str, Callable[[float], Detector]] = {
    Provider.MEMBER_DATA: member_data,
    Provider.SECRETS: secrets,
    Provider.PROMPT_INJECTION: Injection,
}


def main() -> int:
    """Measure, print, and keep where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="write the file that the page shows")
    wanted = parser.parse_args()
    rows, harmless, alarms = found_in(held_out())
    costs, reference = cost_per_page()
    results = [
        *(result for row in rows for result in of_row(row)),
        Result(f"false alarms in {harmless} harmless texts", alarms, "texts", 10),
        *(
            Result(f"{name}: 4,000 characters", cost, "ms", 2, ratio=round(cost / reference, 3))
            for name, cost in costs.items()
        ),
    ]
    body = {
        "digest": digest_of(SHIPPED.as_json()), "measured_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "seed": SEED, "harmless": harmless, "alarms": alarms, "rows": rows, "costs": costs,
        "reference_ms": reference,
    }  # fmt: skip
    if wanted.keep:
        FILE.write_text(json.dumps(body, indent=1) + "\n")
    show("guard", results, **body)
    return 0


def held_out() -> list[Labeled]:
    """Return the texts that are measured, the same for the same seed."""
    draw = random.Random(SEED)  # noqa: S311 - made-up texts, no secret
    hidden = [text for _, text in injected.hidden(Half.HELD_OUT, draw)]
    renamed = [
        Labeled(text.text, text.role, frozenset({"INJECTION_HIDDEN_WRITING"}), text.template)
        for text in hidden
    ]
    return [
        *members.texts(Half.HELD_OUT, draw, EACH),
        *leaked.texts(Half.HELD_OUT, draw, EACH),
        *injected.texts(Half.HELD_OUT, draw, 4),
        *renamed,
    ]


def found_in(texts: Sequence[Labeled]) -> tuple[list[dict[str, Any]], int, int]:
    """Return a row for each kind, how many texts are harmless, and in how many of those a rule that
    blocks hit.
    """
    rules = [rule for rule in SHIPPED.rules if rule.phase == Phase.REQUEST]
    holds: Counter[str] = Counter()
    found: Counter[str] = Counter()
    false: Counter[str] = Counter()
    harmless = alarms = 0
    for text in texts:
        hits = hits_of(text, rules)
        for kind in text.holds:
            holds[kind] += 1
            found[kind] += kind in hits or (kind in injected.KINDS and injected.ANY in hits)
        wrong = hits - text.holds - ({injected.ANY} if text.holds & set(injected.KINDS) else set())
        for kind in wrong:
            false[kind] += 1
        harmless += not text.holds
        alarms += bool(wrong) and not text.holds
    return [row_of(kind, holds[kind], found[kind], false) for kind in holds], harmless, alarms


def hits_of(text: Labeled, rules: Iterable[Rule]) -> set[str]:
    """Return the kinds that rules that block find in a text, all of injection as one."""
    said = set()
    for rule in rules:
        if rule.action != "block" or rule.provider not in DETECTORS:
            continue
        for hit in DETECTORS[rule.provider](rule.threshold).detect(
            [Text("", text.role, text.text)]
        ):
            if rule.provider == Provider.PROMPT_INJECTION:
                said.add(injected.ANY)
            else:
                said.add(hit.detector)
    return said


def row_of(kind: str, texts: int, found: int, false: Counter[str]) -> dict[str, Any]:
    """Return one kind's figures. Every kind of injection shares its false alarms."""
    wrong = false[injected.ANY if kind in injected.KINDS else kind]
    said = found + wrong
    return {
        "detector": kind, "texts": texts, "found": found, "false_alarms": wrong,
        "recall": round(found / texts, 3), "precision": round(found / said, 3) if said else None,
    }  # fmt: skip


def of_row(row: dict[str, Any]) -> list[Result]:
    """Return a kind's figures as results. Free wording has no goal that rules could meet."""
    name, goal = row["detector"], 0.0 if row["detector"] == injected.FREE_WORDING else 0.8
    recall = Result(f"{name}: recall", row["recall"], "share", goal, better="higher")
    if row["precision"] is None or not row["found"]:
        return [recall]
    return [recall, Result(f"{name}: precision", row["precision"], "share", 0.8, better="higher")]


def cost_per_page() -> tuple[dict[str, float], float]:
    """Return milliseconds per 4,000 characters by provider, and those of the reference, turn about
    in the same run.
    """
    page = Text("", "user", a_page())
    block = bytes(REFERENCE)
    asked = {str(name.value): made(0.5) for name, made in DETECTORS.items()}  # type: ignore[attr-defined]
    for detector in asked.values():
        detector.detect([page])
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(TURNS):
        took[""].append(_timed(lambda: hashlib.sha256(block).digest()))
        for name, detector in asked.items():
            took[name].append(_timed(lambda detector=detector: detector.detect([page])))
    medians = {name: round(1000 * statistics.median(each), 4) for name, each in took.items()}
    return {name: medians[name] for name in asked}, medians[""]


def _timed(ask: Callable[[], object]) -> float:
    begun = time.process_time()
    ask()
    return time.process_time() - begun


def a_page() -> str:
    """Return a page of a packet: harmless sentences and a few identifiers."""
    draw = random.Random(SEED)  # noqa: S311 - made-up texts, no secret
    made = ""
    while len(made) < PAGE:
        made += draw.choice(members.HARMLESS.tuning) + " "
        if draw.random() < 0.1:
            made += f"DOB: {members.dob(draw)}. "
    return made[:PAGE]
