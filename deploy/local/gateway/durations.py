"""Gateway API's durations and Kubernetes' quantities, as numbers."""

from __future__ import annotations

import re

from deploy.local.gateway.refusal import Refused

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as "1m30s". Raises Refused."""
    parts = re.findall(r"(\d+)(ms|h|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise Refused(f"{duration!r} is not a duration")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def whole_bytes(quantity: str | int) -> int:
    """Return the bytes of a quantity such as "50Mi" or 32768. Raises Refused."""
    found = re.fullmatch(r"(\d+)(Ki|Mi|Gi|k|M|G)?", str(quantity))
    if found is None:
        raise Refused(f"{quantity!r} is not a size")
    return int(found[1]) * _BYTES[found[2] or ""]
