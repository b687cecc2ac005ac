"""The month over the API."""

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from tests.chargeback.november import machines_of_november


@pytest.mark.usefixtures("november")
class TestApi:
    def test_answers_whole_tokens_and_exact_money(self, fiona):
        client = APIClient()
        client.force_authenticate(fiona)
        answer = client.get("/api/v1/chargeback/2026-11").json()
        line = answer["lines"][0]
        assert type(line["input_tokens"]) is int
        assert Decimal(line["list_cost_usd"]) > 0
        assert not line["list_cost_usd"].endswith("0")


class TestMachinesOfTheApi:
    def test_are_the_page_s_and_sum_to_their_total(self, november, fiona, charlie):
        machines_of_november()
        client = APIClient()
        client.force_authenticate(fiona)
        found = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        kinds = ("work", "idle", "start", "unallocated", "platform", "residual")
        amounts = [found[f"{kind}_usd"] for kind in kinds]
        assert amounts == ["2", "3", "1", "10", "0", "3"]
        assert (found["total_usd"], found["gpu_hours"], found["unpriced_gpu_hours"]) == (
            "19",
            "25",
            "1",
        )
        assert (found["method"], found["until"]) == ("gpu-work-1", "2026-11-03T00:00:00Z")
        embed = next(line for line in found["models"] if line["model"] == "embed")
        # a machine of it has no price, so its margin is not known
        assert (embed["real_usd"], embed["list_usd"], embed["margin_usd"], embed["cards"]) == (
            "2",
            "0",
            None,
            ["h100"],
        )
        client.force_authenticate(charlie)
        own = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        assert (own["total_usd"], own["unallocated_usd"]) == ("2", "0")
        assert [line["model"] for line in own["models"]] == ["prior-auth-extract"]

    def test_are_null_where_nothing_is_known(self, november, fiona):
        client = APIClient()
        client.force_authenticate(fiona)
        found = client.get("/api/v1/chargeback/2026-11").json()["machines"]
        (line,) = found["models"]
        assert found["until"] is None
        assert (line["real_usd"], line["gpu_hours"], line["margin_usd"]) == (None, None, None)
        assert Decimal(line["list_usd"]) > 0
