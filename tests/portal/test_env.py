"""Settings that are odd stop start-up with their name."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import env_percents


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
