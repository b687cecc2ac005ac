"""Who calls: the claims of the token that Envoy has verified. Pure.

Envoy checks the signature, the issuer, the audience and the times that a token has; neither that it
has an end, nor that it says who pays. Both are asked here as at the portal's door.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.common.token_claims import COST_CENTER, LONGEST_COST_CENTER, TEAM
from apps.gateway.gate import refusals
from apps.gateway.gate.calls import Caller

_LONGEST = 255  # characters: of a subject, as usage events keep it


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """Return who calls. Raises Refusal 401 for a token without an end, a subject, a team or a cost
    center.
    """
    return Caller(
        subject=_text(claims, "sub", r"\S(.*\S)?"),
        team=_text(claims, "team", TEAM),
        cost_center=_text(claims, "cost_center", COST_CENTER, LONGEST_COST_CENTER),
        expires_at=_end(claims),
    )


def _text(claims: Mapping[str, Any], name: str, pattern: str, longest: int = _LONGEST) -> str:
    value = claims.get(name)
    if isinstance(value, str) and len(value) <= longest and re.fullmatch(pattern, value):
        return value
    raise refusals.token_incomplete(name)


def _end(claims: Mapping[str, Any]) -> datetime:
    """Return when the token ends. A number of seconds since 1970 that is a moment."""
    value = claims.get("exp")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refusals.token_endless()
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise refusals.token_endless() from None
