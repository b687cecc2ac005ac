"""The stack's node intervals beside what kubectl says of the same nodes: launched, ended, machine
and price.

The nodes are those that came and went while the other tests ran. kubectl knows them by the API
server's own objects and events, finance by what the observer wrote.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.stack.testing import Stack
from tests.story.counting import intervals, moment
from tests.story.delivering import Exports, until
from tests.story.kubectl import objects

pytestmark = [pytest.mark.stack, pytest.mark.parametrize("engine", ["stand-in"], indirect=True)]
LAUNCHED = "Type: Launched, Status: Unknown -> True"
LABELS = {
    "instance_type": "node.kubernetes.io/instance-type",
    "zone": "topology.kubernetes.io/zone",
    "capacity_type": "karpenter.sh/capacity-type",
}


def launched_at(claim: dict[str, Any]) -> str:
    """Return since when a claim's machine is launched, "" where it is not."""
    conditions = {found["type"]: found for found in claim.get("status", {}).get("conditions", [])}
    launched = conditions.get("Launched", {})
    return str(launched["lastTransitionTime"]) if launched.get("status") == "True" else ""


def test_the_nodes_that_are_there_began_as_kubectl_says(stack: Stack) -> None:
    with Exports(stack, "fiona") as finance:
        claims = {
            claim["metadata"]["name"]: claim
            for claim in objects(stack, "nodeclaims")
            if launched_at(claim)
        }
        found = until(
            lambda: intervals(finance),
            lambda rows: claims.keys() <= rows.keys(),
            seconds=10,
            what="them all",
        )
    for name, claim in claims.items():
        rows, labels = found[name], claim["metadata"]["labels"]
        assert moment(rows[0]["started_at_utc"]) == moment(launched_at(claim)), name
        assert {key: rows[-1][key] for key in LABELS} == {
            key: labels[label] for key, label in LABELS.items()
        }
        price = Decimal(labels["eks-node-viewer/instance-price"])
        assert Decimal(rows[-1]["price_usd_per_hour"]) == price, name


def test_the_nodes_that_went_began_and_ended_for_the_reason_that_their_events_say(
    stack: Stack,
) -> None:
    """No event tells when a claim was gone: Karpenter sends that one when the object has no name
    any more.

    test_nodes compares the end of a claim with kubectl, which it asks until the claim is gone.
    """
    notes = [
        note
        for note in objects(stack, "events", "-n", "default")
        if note["involvedObject"]["kind"] == "NodeClaim"
    ]
    present = {claim["metadata"]["name"] for claim in objects(stack, "nodeclaims")}
    begun = {
        note["involvedObject"].get("name", ""): note
        for note in notes
        if LAUNCHED in note["message"]
    }
    removed = {
        note["involvedObject"].get("name", "")
        for note in notes
        if note["reason"] == "DisruptionTerminating"
    }
    gone = begun.keys() - present
    assert gone, "no node came and went: other tests of this stack see to it"
    with Exports(stack, "fiona") as finance:
        look = lambda: intervals(finance)  # noqa: E731
        found = until(
            look,
            lambda rows: all(rows[name][-1]["ended_at_utc"] for name in gone),
            seconds=10,
            what="ends",
        )
    for name in gone:
        rows = found[name]
        for before, after in zip(rows, rows[1:], strict=False):
            assert before["ended_at_utc"] == after["started_at_utc"], rows
        started, stopped = moment(rows[0]["started_at_utc"]), moment(rows[-1]["ended_at_utc"])
        assert abs(started - moment(begun[name]["firstTimestamp"])) <= timedelta(seconds=2), rows
        assert started < stopped, rows
        assert rows[-1]["end_reason"].startswith("Karpenter removed it: ") == (name in removed), (
            rows
        )
