"""Reads over raw events."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.metering.models import UsageEvent
from apps.metering.store import calls_by_version
from tests.factories import NOW


def call(version="m-v2", **more):
    values = {
        "event_id": uuid4(), "occurred_at": NOW, "received_at": NOW, "received_via": "OTLP",
        "outcome": "METERED",
        "model": "m", "version": version, "response_code": 200, "input_tokens": 10,
        "output_tokens": 20,
        "duration_ms": 1000, "ttft_ms": 100.0,
    }  # fmt: skip
    return UsageEvent.objects.create(**values | more)


@pytest.mark.django_db
class TestCallsByVersion:
    def test_tells_what_callers_of_each_version_met_since_a_moment(self, django_assert_num_queries):
        for step in range(20):
            call(ttft_ms=100.0 + step)
        call(
            outcome="FAILED", response_code=503, input_tokens=None, output_tokens=None, ttft_ms=None
        )
        call("m-v1", ttft_ms=None, duration_ms=2000)
        call("m-v1", outcome="REFUSED", response_code=429)
        call("", outcome="FAILED", response_code=503)
        call(occurred_at=NOW - timedelta(seconds=1))
        call(model="other", version="other-v1")
        with django_assert_num_queries(1):
            found = calls_by_version("m", NOW)
        assert set(found) == {"m-v1", "m-v2"}
        assert (found["m-v2"].calls, found["m-v2"].failed, found["m-v2"].timed) == (21, 1, 20)
        assert found["m-v2"].ttft_p95_ms == pytest.approx(118.05)
        assert found["m-v2"].tokens_per_second == pytest.approx(20.0)
        assert (found["m-v1"].calls, found["m-v1"].ttft_p95_ms) == (1, None)
        assert found["m-v1"].tokens_per_second == pytest.approx(10.0)
