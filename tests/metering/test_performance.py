"""How fast versions are, as callers met it: two models, two versions, and what is not told."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.common.periods import DAY, HOUR, hour_of
from apps.fleet.metrics.models import GpuDevice, ReplicaSample
from apps.fleet.models import NodeClaim, Replica
from apps.metering.models import HourlyUsage, Outcome
from apps.metering.performance.actions import measure
from apps.metering.performance.models import Performance
from apps.metering.performance.queries import ENOUGH, LATELY, performances
from tests.factories import NOW, create_event
from tests.metering.test_retirement import NONE

pytestmark = pytest.mark.django_db


def calls(model, version, times, at=NOW - HOUR, **more):
    """Store answered calls with these first tokens' times, and the hour's sum of them."""
    values = {
        "occurred_at": at, "received_at": at, "received_via": "OTLP", "team": "a", "model": model,
        "version": version, "outcome": Outcome.METERED, "response_code": 200, "input_tokens": 10,
        "output_tokens": 100, "duration_ms": 2000,
    } | more  # fmt: skip
    for ttft in times:
        create_event(event_id=uuid4(), ttft_ms=ttft, **values)
    HourlyUsage.objects.get_or_create(
        hour=hour_of(at), cost_center="", team="a", model=model, version=version,
        defaults=NONE | {"metered_calls": len(times), "rolled_up_at": NOW},
    )  # fmt: skip


def replica(service, node, **more):
    return Replica.objects.create(
        uid=str(uuid4()), name=f"{service}-{uuid4()}", namespace="models", service=service,
        node_name=node, gpu_count=2, engine="vllm 0.32.0", ready_at=NOW - DAY,
        created_at=NOW - DAY, learned_at=NOW - DAY, **more,
    )  # fmt: skip


def claim(node, instance_type, **more):
    return NodeClaim.objects.create(
        uid=node, name=node, node_name=node, instance_type=instance_type,
        created_at=NOW - 2 * DAY, learned_at=NOW - DAY, **more,
    )  # fmt: skip


def minute(of, number, running, most):
    ReplicaSample.objects.create(
        replica=of, minute=NOW - timedelta(minutes=number), samples=4, running=running,
        running_max=most,
    )  # fmt: skip


class TestMeasure:
    def test_says_what_callers_of_each_version_met(self):
        calls("extract", "extract-v1", [100, 200, 300])
        calls("extract", "extract-v2", [1000], output_tokens=10)
        calls("summary", "summary-v1", [50, None], duration_ms=500)
        assert measure(now=NOW) == 3
        found = {row.version: row for row in Performance.objects.all()}
        first, second, third = (found[name] for name in sorted(found))
        assert (first.model, first.calls, first.timed, first.ttft_p95_ms) == ("extract", 3, 3, 290)
        assert (first.tokens_per_second, second.tokens_per_second) == (50, 5)
        assert (second.ttft_p95_ms, third.ttft_p95_ms) == (1000, 50)
        assert (third.calls, third.timed, third.tokens_per_second) == (2, 1, 200)
        assert (first.since, first.until) == (NOW - DAY, NOW)

    def test_says_on_what_it_ran_and_how_many_ran_at_once(self):
        calls("extract", "extract-v1", [100])
        calls("summary", "summary-v1", [100])
        claim("node-a", "p5.48xlarge", provider_id="aws:///us-east-1a/i-1")
        claim("node-b", "g6.xlarge", provider_id="kwok://node-b")
        GpuDevice.objects.create(
            uuid="GPU-1", node_name="node-a", model_name="NVIDIA H100 80GB HBM3",
            first_seen_at=NOW, seen_at=NOW,
        )  # fmt: skip
        mine, other = replica("extract-v1", "node-a"), replica("summary-v1", "node-b")
        minute(mine, 1, 4, 9)
        minute(mine, 2, 2, 3)
        minute(mine, 3, 0, 0)
        minute(mine, 60 * 25, 50, 60)
        minute(other, 1, 1, 1)
        measure(now=NOW)
        found = Performance.objects.get(version="extract-v1")
        assert found.hardware == "2 × NVIDIA H100 80GB HBM3 on p5.48xlarge"
        assert (found.concurrency, found.concurrency_max, found.engine) == (3, 9, "vllm 0.32.0")
        their = Performance.objects.get(version="summary-v1")
        assert their.hardware == "2 × GPU on g6.xlarge"
        assert (found.is_machine_simulated, their.is_machine_simulated) == (False, True)

    def test_says_nothing_that_nobody_told(self):
        calls("extract", "extract-v1", [None])
        measure(now=NOW)
        found = Performance.objects.get()
        assert (found.timed, found.ttft_p95_ms, found.concurrency) == (0, None, None)
        assert (found.hardware, found.engine) == ("", "")

    def test_leaves_out_what_no_version_answered(self):
        calls("extract", "", [100], outcome=Outcome.REFUSED, response_code=403)
        calls("extract", "extract-v1", [100], at=NOW - DAY - HOUR)
        assert measure(now=NOW) == 0

    def test_replaces_what_it_said_and_keeps_what_is_called_no_longer(self):
        calls("extract", "extract-v1", [100])
        calls("summary", "summary-v1", [100])
        measure(now=NOW)
        later = NOW + DAY
        calls("extract", "extract-v1", [900], at=later - HOUR)
        assert measure(now=later) == 1
        assert list(Performance.objects.values_list("version", "ttft_p95_ms", "until")) == [
            ("extract-v1", 900, later),
            ("summary-v1", 100, NOW),
        ]


class TestPerformances:
    def row(self, version, timed=ENOUGH, until=NOW):
        return Performance.objects.create(
            model="extract", version=version, since=until - DAY, until=until, calls=timed,
            timed=timed, ttft_p95_ms=100,
        )  # fmt: skip

    def test_are_those_that_enough_calls_told_lately(self):
        known = self.row("extract-v1")
        self.row("extract-v2", timed=ENOUGH - 1)
        self.row("extract-v3", until=NOW - LATELY)
        self.row("extract-v4")
        asked = ["extract-v1", "extract-v2", "extract-v3"]
        assert performances(asked, NOW) == {"extract-v1": known}
