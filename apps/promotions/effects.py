"""What a promotion does to a model's cost a month: as it was worked out, kept and shown.

How it is worked out belongs to those who count money (chargeback/effects.py), which this app does
not know.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.money import about_usd
from apps.promotions.models import Promotion

UNKNOWN = "not known"


@dataclass(frozen=True)
class Effect:
    """Costs a month in USD at the traffic of the baseline, None where not known. method: of the
    estimate. words: what it rests on, or why it is not known. is_simulated: some price was made up.
    """

    method: str
    computed_at: datetime
    baseline_usd: Decimal | None = None
    candidate_usd: Decimal | None = None
    words: str = ""
    is_simulated: bool = False

    def with_words(self, words: str) -> "Effect":
        """Return it with other words."""
        return replace(self, words=words)

    def with_candidate(self, usd: Decimal, words: str) -> "Effect":
        """Return it with the candidate's cost, and what that rests on."""
        return replace(self, candidate_usd=usd, words=words)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept: amounts as texts."""
        return {
            "method": self.method,
            "computed_at": self.computed_at.isoformat(),
            "baseline_usd": None if self.baseline_usd is None else str(self.baseline_usd),
            "candidate_usd": None if self.candidate_usd is None else str(self.candidate_usd),
            "words": self.words,
            "is_simulated": self.is_simulated,
        }


def keep_effect(*, promotion: Promotion, effect: Effect) -> bool:
    """Keep what a promotion does to costs while it waits: what was decided over stays as it was.
    Returns whether it waits.
    """
    rows = Promotion.objects.pending().filter(pk=promotion.pk)
    return bool(rows.update(cost_effect=effect.as_json()))


def cost_lines(kept: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a kept effect for people: [(label, words)]; [] where none was worked out."""
    if not kept:
        return []
    baseline, candidate = (_amount(kept[name]) for name in ("baseline_usd", "candidate_usd"))
    lines = [
        ("Baseline a month", _said(baseline)),
        ("Candidate a month", _said(candidate)),
    ]
    if baseline is not None and candidate is not None:
        lines.append(("Change", _change(candidate - baseline)))
    return lines


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _said(amount: Decimal | None) -> str:
    return UNKNOWN if amount is None else about_usd(amount)


def _change(amount: Decimal) -> str:
    if not round(amount, 2):
        return "none"
    return f"{about_usd(abs(amount))} {'more' if amount > 0 else 'less'}"
