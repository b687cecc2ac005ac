"""Access-log records, read."""

import pytest

from apps.metering.models import Outcome
from apps.metering.records import BadRecord, read_record

CALL = {
    "x-request-id": "0d4c2c7e-4d5d-4f0a-9f35-1f4b5ed6d1a1",
    "start_time": "2026-11-02T09:15:30.123Z",
    "response_code": 200,
    "response_flags": "-",
    "duration": 812,
    "team": "claims-review",
    "cost_center": "CC-4100",
    "user_id": "maya",
    "gen_ai.request.model": "prior-auth-extract",
    "gen_ai.request.model_override": "prior-auth-extract-v1",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.cached_input_tokens": 20,
    "gen_ai.usage.output_tokens": 30,
    "a.key.of.a.newer.gateway": "ignored",
}


class TestReadRecord:
    def test_reads_a_metered_call(self):
        record = read_record(CALL)
        assert record.outcome == Outcome.METERED
        assert (record.input_tokens, record.cached_input_tokens, record.output_tokens) == (
            120,
            20,
            30,
        )
        assert record.version == "prior-auth-extract-v1"

    @pytest.mark.parametrize(
        ("change", "version"),
        [
            ({"upstream_host": "extract-v2-predictor.models.svc.cluster.local"}, "extract-v2"),
            ({"upstream_host": "10.231.0.7", "upstream_cluster": "models/extract/extract-v2"}, ""),
            (
                {"upstream_cluster": "models/extract/extract-v2", "response_flags": "UH"},
                "extract-v2",
            ),
            (
                {"upstream_cluster": "models/extract/extract-v2", "response_flags": "UF,URX"},
                "extract-v2",
            ),
            # Refused before any version was called: the cluster is filled in all the same.
            ({"upstream_cluster": "models/extract/extract-v2", "response_flags": "RL"}, ""),
            (
                {
                    "upstream_cluster": "httproute/models/extract/rule/0/backend/1",
                    "response_flags": "UH",
                },
                "",
            ),
        ],
    )
    def test_finds_the_version_that_a_failed_call_had_reached(self, change, version):
        failed = {**CALL, "gen_ai.request.model_override": "-", "response_code": 503, **change}
        assert read_record(failed).version == version

    def test_reads_the_same_from_text_values(self):
        assert read_record({key: str(value) for key, value in CALL.items()}) == read_record(CALL)

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            (200, Outcome.UNMETERED),
            (0, Outcome.UNMETERED),
            (429, Outcome.REFUSED),
            (403, Outcome.REFUSED),
            (503, "FAILED"),
        ],
    )
    def test_decides_by_status_where_usage_is_missing(self, code, outcome):
        tokens = {key: "-" for key in CALL if key.startswith("gen_ai.usage")}
        record = read_record(CALL | tokens | {"response_code": code})
        assert record.outcome == outcome
        assert record.input_tokens is None

    def test_leaves_out_calls_that_name_no_model(self):
        assert read_record(CALL | {"gen_ai.request.model": None}) is None

    def test_keeps_a_refused_call_without_a_model(self):
        record = read_record(
            CALL
            | {"gen_ai.request.model": "-", "response_code": 401, "gen_ai.usage.input_tokens": "-"}
        )
        assert record.outcome == Outcome.REFUSED

    @pytest.mark.parametrize(
        "change",
        [
            {"x-request-id": "-"},
            {"x-request-id": "1; DROP TABLE"},
            {"start_time": "yesterday"},
            {"start_time": "2026-11-02T09:15:30"},
            {"response_code": None},
            {"gen_ai.usage.input_tokens": "-5"},
            {"gen_ai.usage.input_tokens": "1.5"},
            {"gen_ai.usage.output_tokens": "nan"},
            {"duration": ["x"]},
            {"duration": 2**31},
            {"duration": 10**400},
            {"start_time": "9999-12-31T23:59:59-12:00"},
            {"start_time": "0001-01-01T00:00:00+12:00"},
        ],
    )
    def test_refuses_odd_values_by_key(self, change):
        with pytest.raises(BadRecord, match=next(iter(change))):
            read_record(CALL | change)

    def test_keeps_what_the_database_can_store(self):
        assert read_record(CALL | {"team": "a\ud800b\x00c"}).team == "abc"

    def test_keeps_times_in_utc_because_hours_are_summed_by_it(self):
        record = read_record(CALL | {"start_time": "2026-11-02T09:45:00+05:30"})
        assert (record.occurred_at.isoformat(), record.occurred_at.hour) == (
            "2026-11-02T04:15:00+00:00",
            4,
        )
