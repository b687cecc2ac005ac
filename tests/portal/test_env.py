"""Settings from the environment: an odd value stops start-up with its name."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import env_cost, env_hours, env_percents


class TestEnvHours:
    def test_is_a_zone_and_two_crons(self, monkeypatch):
        monkeypatch.setenv("HOURS", "America/New_York; 30 7 * * 1-5; 0 19 * * 1-5")
        assert env_hours("HOURS") == ("America/New_York", "30 7 * * 1-5", "0 19 * * 1-5")

    def test_is_nothing_where_it_is_not_set(self, monkeypatch):
        monkeypatch.delenv("HOURS", raising=False)
        assert env_hours("HOURS") is None

    @pytest.mark.parametrize(
        "value",
        [
            "30 7 * * 1-5; 0 19 * * 1-5",
            "Mars/Olympus; 30 7 * * 1-5; 0 19 * * 1-5",
            "UTC; 0 30 7 * * 1-5; 0 19 * * 1-5",
            "UTC; 30 7 * * 1-5; 30 7 * * 1-5",
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, value):
        monkeypatch.setenv("HOURS", value)
        with pytest.raises(ImproperlyConfigured, match="HOURS"):
            env_hours("HOURS")


class TestEnvCost:
    def test_reads_an_expression_that_the_gateway_can_use(self, monkeypatch):
        monkeypatch.delenv("LIMIT_COST", raising=False)
        assert env_cost("LIMIT_COST", "total_tokens") == "total_tokens"
        monkeypatch.setenv("LIMIT_COST", "output_tokens * 3u")
        assert env_cost("LIMIT_COST", "total_tokens") == "output_tokens * 3u"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("output_tokens * 3", "LIMIT_COST: .*does not type-check.*write 3u"),
            ("output_tokens - 1u", "LIMIT_COST: .*cannot be computed"),
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, text, words):
        monkeypatch.setenv("LIMIT_COST", text)
        with pytest.raises(ImproperlyConfigured, match=words):
            env_cost("LIMIT_COST", "total_tokens")


class TestEnvPercents:
    @pytest.mark.parametrize(("text", "found"), [("", (10, 50, 100)), ("100", (100,)), (" 5, 25,100 ", (5, 25, 100))])
    def test_reads_percents_that_rise_to_100(self, monkeypatch, text, found):
        monkeypatch.setenv("ROLLOUT_STEPS", text)
        assert env_percents("ROLLOUT_STEPS", "10,50,100") == found

    @pytest.mark.parametrize(
        "text", ["10,50", "50,10,100", "0,100", "10,10,100", "10,,100", "ten,100", "10,100,110", "-5,100"]
    )
    def test_stops_start_up_with_the_name(self, monkeypatch, text):
        monkeypatch.setenv("ROLLOUT_STEPS", text)
        with pytest.raises(ImproperlyConfigured, match="ROLLOUT_STEPS must be percents that rise to 100"):
            env_percents("ROLLOUT_STEPS", "10,50,100")
