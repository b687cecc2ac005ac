"""What happened how often: calls as finance lists them, events as the auditor does, commits as Git
does.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta

from deploy.local.stack.testing import Stack
from tests.story.delivering import Exports


def listed(finance: Exports, ids: set[str]) -> dict[str, str]:
    """Return the outcome of these calls as they are listed. No call of anybody's may be listed
    twice.
    """
    rows = finance.rows("/usage/?format=csv")
    found = {row["event_id"]: row["outcome"] for row in rows}
    assert len(found) == len(rows)
    return {call: outcome for call, outcome in found.items() if call in ids}


def events(auditor: Exports, target: str) -> Counter[str]:
    """Return how often each action is in the record of one object."""
    rows = auditor.rows(f"/audit/?target_id={target}&columns=code&format=csv")
    return Counter(row["Action code"] for row in rows)


def steps_committed(stack: Stack, rollout: str) -> Counter[str]:
    """Return how many commits of the GitOps repository name each step of a rollout."""
    values = [
        f"%(trailers:key=Quartermaster-{key},valueonly,separator=)" for key in ("Rollout", "Step")
    ]
    fields = f"--format={'|'.join(values)}"
    command = ["git", "--git-dir", str(stack.state / "gitops.git"), "log", fields, "main"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = (line.partition("|") for line in lines)
    return Counter(step for found, _, step in pairs if found == rollout)


def intervals(finance: Exports) -> dict[str, list[dict[str, str]]]:
    """Return node claim → its intervals of yesterday and today, oldest first."""
    now = datetime.now(UTC)
    found: dict[str, list[dict[str, str]]] = {}
    for row in finance.rows(
        f"/fleet/intervals.csv?from={now - timedelta(days=1):%Y-%m-%d}&to={now:%Y-%m-%d}"
    ):
        found.setdefault(row["node_claim"], []).append(row)
    return found


def moment(text: str) -> datetime:
    """Return a time as exports and the API server write it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
