"""Access-log records, read."""

from dataclasses import replace
from hashlib import sha256

import pytest

from apps.metering.access_log import (
    KEYS,
    PATHS,
    BadRecord,
    Entry,
    read_entry,
    read_record,
    unreadable,
)
from apps.metering.models import Outcome, Unmetered
from apps.metering.quarantine.models import Doubt

CALL = {
    "x-request-id": "0d4c2c7e-4d5d-4f0a-9f35-1f4b5ed6d1a1",
    "start_time": "2026-11-02T09:15:30.123Z",
    "response_code": 200,
    "response_flags": "-",
    "duration": 812,
    "path": "/v1/chat/completions",
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


RERANK = CALL | {"path": "/cohere/v2/rerank", "response_code_details": "via_upstream"}


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
            ({"upstream_host": f"{'a' * 61}-v2-predictor.models"}, f"{'a' * 61}-v"),
            ({"upstream_host": "10.231.0.7", "upstream_cluster": "models/extract/extract-v2"}, ""),
            (
                {"upstream_cluster": "models/extract/extract-v2", "response_flags": "UH"},
                "extract-v2",
            ),
            (
                {"upstream_cluster": "models/extract/extract-v2", "response_flags": "UF,URX"},
                "extract-v2",
            ),
            (
                {"upstream_cluster": f"models/{'a' * 61}-v2", "response_flags": "UH"},
                f"{'a' * 61}-v",
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

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/v1/chat/completions", "CHAT"),
            ("/v1/completions", "COMPLETION"),
            ("/v1/embeddings?trace=my-knee", "EMBEDDING"),
            ("/cohere/v2/rerank", "RERANK"),
            ("/v1/responses", "OTHER"),
            ("/v1/chat/completions/my-knee", "OTHER"),
            ("-", ""),
            (None, ""),
        ],
    )
    def test_tells_the_kind_of_call_by_its_path_and_guesses_none(self, path, kind):
        assert read_record(CALL | {"path": path}).operation == kind

    def test_knows_no_cached_share_of_an_embedding(self):
        embedded = read_record(CALL | {"path": PATHS["EMBEDDING"], "gen_ai.usage.output_tokens": 0})
        assert (embedded.outcome, embedded.input_tokens, embedded.output_tokens) == (
            Outcome.METERED,
            120,
            0,
        )
        assert embedded.cached_input_tokens is None

    @pytest.mark.parametrize("tokens", [0, 120, None])
    def test_counts_an_answered_rerank_and_no_token_of_it(self, tokens):
        told = {key: tokens for key in CALL if key.startswith("gen_ai.usage")}
        record = read_record(RERANK | told)
        assert (record.outcome, record.operation) == (Outcome.METERED, "RERANK")
        counts = record.input_tokens, record.cached_input_tokens, record.output_tokens
        assert counts == (None, None, None)

    @pytest.mark.parametrize(
        ("change", "outcome"),
        [
            ({"response_flags": "DC", "response_code_details": "-"}, Outcome.UNMETERED),
            ({"response_code": 0, "response_code_details": "-"}, Outcome.UNMETERED),
            ({"response_code": 403}, Outcome.REFUSED),
            ({"response_code": 500}, Outcome.FAILED),
        ],
    )
    def test_counts_no_rerank_that_was_not_answered(self, change, outcome):
        untold = {key: None for key in CALL if key.startswith("gen_ai.usage")}
        assert read_record(RERANK | untold | change).outcome == outcome

    def test_takes_no_tokens_at_all_as_not_told(self):
        nothing = {key: 0 for key in CALL if key.startswith("gen_ai.usage")}
        record = read_record(CALL | nothing | {"response_code_details": "via_upstream"})
        assert (record.outcome, record.input_tokens) == (Outcome.UNMETERED, None)
        assert record.unmetered_because == Unmetered.NO_USAGE_TOLD
        read = read_record(CALL | nothing | {"gen_ai.usage.input_tokens": 1})
        assert (read.outcome, read.input_tokens, read.output_tokens) == (Outcome.METERED, 1, 0)

    def test_reads_the_same_from_text_values(self):
        assert read_record({key: str(value) for key, value in CALL.items()}) == read_record(CALL)

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            (200, Outcome.UNMETERED),
            (0, Outcome.UNMETERED),
            (399, Outcome.UNMETERED),
            (400, Outcome.REFUSED),
            (429, Outcome.REFUSED),
            (499, Outcome.REFUSED),
            (500, "FAILED"),
            (403, Outcome.REFUSED),
            (503, "FAILED"),
        ],
    )
    def test_decides_by_status_where_usage_is_missing(self, code, outcome):
        tokens = {key: "-" for key in CALL if key.startswith("gen_ai.usage")}
        record = read_record(CALL | tokens | {"response_code": code})
        assert record.outcome == outcome
        assert record.input_tokens is None

    @pytest.mark.parametrize(
        ("flags", "details", "because"),
        [
            # as a real Envoy wrote them, beside code 200 and no tokens
            ("DC", "downstream_remote_disconnect", Unmetered.CLIENT_LEFT),
            (
                "UPE",
                "upstream_reset_after_response_started{protocol_error}",
                Unmetered.ENGINE_BROKE_OFF,
            ),
            ("-", "upstream_reset_after_response_started{x}", Unmetered.ENGINE_BROKE_OFF),
            (
                "-",
                "ext_proc_error_gRPC_error_13{upstream_reset_after_response_started{x}}",
                Unmetered.GATEWAY_FAILED,
            ),
            *((flag, "-", Unmetered.CLIENT_LEFT) for flag in ("DC", "DPE")),
            *((f, "-", Unmetered.TOOK_TOO_LONG) for f in ("UT", "SI", "DT", "UMSDR")),
            *(
                (flag, "-", Unmetered.ENGINE_BROKE_OFF)
                for flag in ("UC", "UF", "UR", "UPE", "UO", "URX")
            ),
            ("SI", "stream_idle_timeout", Unmetered.TOOK_TOO_LONG),
            ("DT", "-", Unmetered.TOOK_TOO_LONG),
            ("URX,DC", "-", Unmetered.CLIENT_LEFT),
            ("-", "via_upstream", Unmetered.NO_USAGE_TOLD),
            ("-", "-", Unmetered.UNKNOWN),
            ("NEW", "via_upstream", Unmetered.UNKNOWN),
            ("-", "of a newer gateway", Unmetered.UNKNOWN),
        ],
    )
    def test_tells_why_usage_is_unknown_as_far_as_the_log_does(self, flags, details, because):
        unknown = {
            "gen_ai.usage.input_tokens": "-", "gen_ai.usage.output_tokens": None,
            "response_flags": flags, "response_code_details": details,
        }  # fmt: skip
        assert read_record(CALL | unknown).unmetered_because == because
        for known in ({}, unknown | {"response_code": 503}, unknown | {"response_code": 429}):
            assert read_record(CALL | known).unmetered_because == ""

    @pytest.mark.parametrize("missing", ["input", "output"])
    def test_knows_no_usage_where_a_count_is_missing(self, missing):
        record = read_record(CALL | {f"gen_ai.usage.{missing}_tokens": "-"})
        assert record.outcome == Outcome.UNMETERED
        assert (record.input_tokens, record.cached_input_tokens, record.output_tokens) == (
            None,
            None,
            None,
        )

    def test_does_not_know_what_was_cached_where_the_gateway_names_none(self):
        unknown = CALL | {"gen_ai.usage.cached_input_tokens": None}
        assert read_record(unknown).cached_input_tokens is None

    def test_reads_every_name_and_measure(self):
        more = {"route_name": "httproute/models/extract", "gen_ai.latency.ttft_ms": "12.5"}
        record = read_record(CALL | more | {"response_flags": "DC"})
        assert (record.team, record.cost_center, record.user_id, record.model) == (
            "claims-review",
            "CC-4100",
            "maya",
            "prior-auth-extract",
        )
        assert (record.route, record.response_flags) == ("httproute/models/extract", "DC")
        assert (record.response_code, record.duration_ms, record.ttft_ms) == (200, 812, 12.5)
        assert str(record.event_id) == CALL["x-request-id"]

    def test_cuts_names_to_what_the_database_holds(self):
        long = "a" * 300
        keys = ("team", "cost_center", "user_id", "route_name", "response_flags")
        names = dict.fromkeys((*keys, "gen_ai.request.model"), long)
        record = read_record(CALL | names | {"gen_ai.request.model_override": long})
        fields = ("team", "cost_center", "user_id", "route", "response_flags", "model", "version")
        assert [len(getattr(record, name)) for name in fields] == [63, 32, 255, 255, 64, 40, 63]

    @pytest.mark.parametrize(
        "limit",
        [
            {"response_code": 599},
            {"duration": 2**31 - 1},
            {"gen_ai.usage.output_tokens": 2**53 - 1},
        ],
    )
    def test_takes_the_highest_that_can_be(self, limit):
        assert read_record(CALL | limit)

    @pytest.mark.parametrize("year", ["2000-01-01", "9998-12-31"])
    def test_takes_the_first_and_the_last_year(self, year):
        assert read_record(CALL | {"start_time": f"{year}T00:00:00Z"})

    def test_leaves_out_calls_that_name_no_model(self):
        assert read_record(CALL | {"gen_ai.request.model": None}) is None
        assert read_record(CALL | {"gen_ai.request.model": "", "response_code": 399}) is None
        assert read_record(CALL | {"gen_ai.request.model": "", "response_code": 400}) is not None

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
            {"response_code": 600},
            {"response_code": True},
            {"start_time": "1999-12-31T23:59:59Z"},
            {"gen_ai.usage.output_tokens": 2**53},
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


EVERY = {
    **{key: value for key, value in CALL.items() if key in KEYS},
    "response_flags": "UC,DC",
    "response_code_details": "via_upstream",
    "route_name": "httproute/models/extract",
    "upstream_cluster": "models/extract/extract-v2",
    "upstream_host": "10.231.0.7:8000",
    "gen_ai.latency.ttft_ms": 12.5,
    "gate.basis": "USAGE",
    "gate.usage.completeness": "COMPLETE",
    "gate.usage.input_tokens": 120.0,
    "gate.usage.cached_input_tokens": 20,
    "gate.usage.output_tokens": 30,
}


def kept(**changes):
    return Entry(EVERY | changes, None).kept


class TestEntry:
    def test_keeps_every_known_key_as_text_and_no_other(self):
        assert set(EVERY) == set(KEYS)
        assert kept() == {key: str(value).removesuffix(".0") for key, value in EVERY.items()}
        assert kept(prompt="My knee hurts.") == kept()

    @pytest.mark.parametrize("nothing", [None, "", "-"])
    def test_keeps_nothing_of_what_was_not_said(self, nothing):
        assert "team" not in kept(team=nothing)
        assert kept(team=nothing).keys() | {"team"} == set(KEYS)

    @pytest.mark.parametrize("key", KEYS)
    def test_keeps_no_sentence_whatever_key_it_came_in(self, key):
        assert kept(**{key: "my knee"})[key] == "(7 characters, not kept)"
        assert kept(**{key: "x" * 1255})[key] == "(1,255 characters, not kept)"

    @pytest.mark.parametrize(
        "path", ["/my-knee", "/v1/embeddings/my-knee", "/v1/embeddings?q=knee"]
    )
    def test_keeps_no_path_that_a_caller_made_up(self, path):
        assert kept(path=path)["path"] == f"({len(path)} characters, not kept)"
        assert kept(path="/v1/embeddings")["path"] == "/v1/embeddings"

    def test_keeps_values_of_255_characters(self):
        assert kept(team="x" * 255)["team"] == "x" * 255
        assert kept(team="x" * 256)["team"] == "(256 characters, not kept)"

    def test_keeps_what_it_refuses_to_read(self):
        odd = {"response_code": "-5", "duration": "1e3", "start_time": "2026-11-02T09:15:30+01:00"}
        assert kept(**odd).items() >= odd.items()

    def test_is_the_same_whichever_way_it_came(self):
        ways = [Entry(EVERY | {"duration": one}, None) for one in (812, 812.0, "812")]
        assert len({entry.fingerprint for entry in ways}) == 1
        assert Entry(EVERY | {"unknown": 1}, None).fingerprint == ways[0].fingerprint
        for other in ({"duration": 813}, {"team": "prior-auth"}, {"gen_ai.latency.ttft_ms": 12.0}):
            assert Entry(EVERY | other, None).fingerprint != ways[0].fingerprint

    def test_of_something_without_keys_is_known_by_all_of_its_bytes(self):
        found = [unreadable(source, "a line is not JSON") for source in (b"{", b"[", b"{")]
        assert (found[0].kept, found[0].record, found[0].problem) == (
            {},
            None,
            "a line is not JSON",
        )
        assert (found[0].doubt, found[0].source) == (Doubt.UNREADABLE, sha256(b"{").hexdigest())
        first, second, third = (entry.fingerprint for entry in found)
        assert first == third != second
        assert Entry({}, None).fingerprint != first


class TestReadEntry:
    def test_has_the_record_or_why_there_is_none(self):
        good = read_entry(CALL)
        assert (good.record, good.problem, good.doubt) == (read_record(CALL), "", "")
        odd = read_entry(CALL | {"start_time": "yesterday"})
        words = "start_time is missing or not ISO 8601"
        assert (odd.record, odd.problem, odd.doubt) == (None, words, Doubt.UNREADABLE)
        assert odd.kept["team"] == "claims-review"
        absurd = read_entry(CALL | {"duration": -1})
        assert (absurd.record, absurd.doubt) == (None, Doubt.ABSURD)
        assert read_entry(CALL | {"gen_ai.request.model": "-"}) is None


class TestCounts:
    @pytest.mark.parametrize(
        "change",
        [
            {"outcome": "UNMETERED"},
            {"team": "x"},
            {"cost_center": "x"},
            {"model": "x"},
            {"version": "x"},
            {"input_tokens": 1},
            {"cached_input_tokens": 1},
            {"output_tokens": 1},
        ],
    )
    def test_are_what_is_charged_and_to_whom(self, change):
        record = read_record(CALL)
        assert replace(record, **change).counts != record.counts

    def test_leave_out_how_it_was_told(self):
        record = read_record(CALL)
        same = {"duration_ms": 1, "ttft_ms": 9.0, "response_flags": "DC", "route": "x"}
        assert replace(record, **same).counts == record.counts
