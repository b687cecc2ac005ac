"""What the controllers say about an object, in one place whatever its kind. Pure."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
GOOD = ("Accepted", "ResolvedRefs", "Programmed")
BAD = ("Conflicted", "NotAccepted", "PartiallyInvalid", "Warning")


def conditions(obj: Json) -> list[Json]:
    """Return the object's conditions, those by ancestor, parent and listener too."""
    status = obj.get("status") or {}
    parts = [
        status,
        *(part for key in ("ancestors", "parents", "listeners") for part in status.get(key, [])),
    ]
    return [condition for part in parts for condition in part.get("conditions", [])]


def problems(obj: Json) -> list[str]:
    """Return why the object is not fully accepted, in the controllers' own words; none where it
    is.
    """
    found = conditions(obj)
    if not any(condition["type"] == "Accepted" for condition in found):
        return ["no controller has said anything about it"]
    return [
        f"{condition['type']}={condition['status']} {condition['reason']}: "
        f"{condition.get('message', '')}"
        for condition in found
        if (condition["type"] in GOOD and condition["status"] != "True")
        or (condition["type"] in BAD and condition["status"] == "True")
    ]
