"""Cost expressions: what the gateway could use passes, what it would refuse or fail on is named."""

import pytest

from apps.manifests import cel, gateway
from tests.manifests.objects import ANSWERS, named, rendered, shipped


class TestChecked:
    @pytest.mark.parametrize(
        "expression",
        [
            "input_tokens + output_tokens * uint(3)",
            "input_tokens - cached_input_tokens + output_tokens * 3u",
            "model == 'm-v1' ? total_tokens : 0u",
            "backend.startsWith('models/') && route_name != '' ? reasoning_tokens : "
            "cache_creation_input_tokens",
            "int(output_tokens) * 2",
        ],
    )
    def test_takes_what_the_gateway_takes(self, expression):
        assert cel.checked(expression) == expression

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("output_tokens * 3", "write 3u or uint"),
            ("tokens", "undeclared reference to 'tokens'"),
            ("output_tokens *", "Syntax error"),
            ("", "Syntax error"),
            ("model", "gives STRING"),
            ("double(output_tokens) * 1.5", "gives DOUBLE"),
            ("output_tokens > 3u", "gives BOOL"),
            ("int(output_tokens) - int(input_tokens)", "never negative"),
            ("output_tokens / cached_input_tokens", "divide by zero"),
            ("output_tokens - 1u", "unsigned integer overflow"),
            ("1u + " * 300 + "1u", "at most 1000"),
        ],
    )
    def test_says_what_is_wrong(self, expression, words):
        with pytest.raises(cel.BadExpression, match=words):
            cel.checked(expression)


def expressions_in(found):
    """Yield every cost expression in manifests, by the field that holds one. A policy's conditions
    are something else.
    """
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "authorization":
                continue
            yield from [value] if key == "cel" else expressions_in(value)
    elif isinstance(found, list):
        for value in found:
            yield from expressions_in(value)


class TestRoute:
    PLACE = {"gateway_name": "ai-gateway", "gateway_namespace": "ai-gateway"}

    def test_carries_a_checked_expression_beside_the_tokens(self):
        made = gateway.route(
            model="m",
            weights=[gateway.Weight(1, 100)],
            limit_cost="total_tokens * 2u",
            **self.PLACE,
        )
        costs = made["spec"]["llmRequestCosts"]
        assert costs[-1] == {
            "metadataKey": "llm_limit_token",
            "type": "CEL",
            "cel": "total_tokens * 2u",
        }
        assert {cost["type"] for cost in costs[:-1]} == {
            "InputToken",
            "CachedInputToken",
            "OutputToken",
            "TotalToken",
        }
        with pytest.raises(cel.BadExpression):
            gateway.route(
                model="m",
                weights=[gateway.Weight(1, 100)],
                limit_cost="total_tokens * 2",
                **self.PLACE,
            )

    def test_always_carries_one(self):
        """So that a limit by expression counts on every route, whenever the setting is changed."""
        made = gateway.route(model="m", weights=[gateway.Weight(1, 100)], **self.PLACE)
        assert list(expressions_in(made)) == ["total_tokens"]

    @pytest.mark.parametrize("manifest", [*rendered(), *shipped()], ids=named)
    def test_no_expression_is_rendered_or_shipped_that_does_not_type_check(self, manifest):
        for expression in expressions_in(manifest):
            assert cel.checked(expression) == expression

    def test_some_are_rendered(self):
        assert len(list(expressions_in(rendered()))) == 2


class TestTrafficPolicy:
    @pytest.mark.parametrize(
        ("cost", "key"),
        [("total_tokens", "llm_total_token"), ("output_tokens * 2u", "llm_limit_token")],
    )
    def test_counts_a_key_that_the_route_writes(self, cost, key):
        policy = gateway.traffic_policy(
            model="m", limits=[gateway.TeamLimit("a", 1)], answers=ANSWERS, limit_cost=cost
        )
        (rule,) = policy["spec"]["rateLimit"]["global"]["rules"]
        assert rule["cost"]["response"]["metadata"]["key"] == key
        made = gateway.route(
            model="m", weights=[gateway.Weight(1, 100)], limit_cost=cost, **TestRoute.PLACE
        )
        assert key in {item["metadataKey"] for item in made["spec"]["llmRequestCosts"]}
