"""Where a promotion stands before its rollout: how many approvals it has, who may give the next,
until when they count, and what the start waits for. The page and the API say the same.
"""

from dataclasses import dataclass
from datetime import datetime

from apps.promotions import begin, stages
from apps.promotions.begin import Wait
from apps.promotions.models import Promotion
from apps.promotions.policy.reviewers import next_words
from apps.promotions.policy.words import excluded_words


@dataclass(frozen=True)
class Standing:
    """given, needed: approvals. words: "1 of 2 approvals". next: who may give the next, a sentence;
    "" where none is asked for any more. expires_at: when the oldest is too old for the start; None
    without one, and once the rollout began. waits: what an approved promotion's start waits for.
    """

    given: int
    needed: int
    words: str
    next: str
    expires_at: datetime | None
    waits: list[Wait]


def standing(promotion: Promotion, now: datetime) -> Standing:
    """Return where a promotion stands. Two queries; about thirteen more where it is approved and
    has not begun.
    """
    rules = promotion.policy_revision.rules
    given = len(stages.given(promotion))
    is_pending = promotion.status == Promotion.Status.PENDING
    has_begun = promotion.newest_rollout() is not None
    waits = promotion.status == Promotion.Status.APPROVED and not has_begun
    next_ = ""
    if is_pending:
        who = next_words(promotion, given)
        never = excluded_words(rules)
        next_ = f"{who[:1].upper()}{who[1:]} gives the next. Never: {never[:1].lower()}{never[1:]}."
    return Standing(
        given=given,
        needed=rules.approvals,
        words=stages.approval_words(promotion),
        next=next_,
        expires_at=begin.expires_at(promotion) if is_pending or waits else None,
        waits=begin.waits_for(promotion, now) if waits else [],
    )
