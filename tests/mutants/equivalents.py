"""Faults that change nothing anybody can see, by hand: module → fault (its key) → why."""

EQUIVALENT: dict[str, dict[str, str]] = {}
