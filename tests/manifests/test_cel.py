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

    @pytest.mark.parametrize("expression", ["", "tokens"])
    def test_leaves_the_librarys_own_codes_out(self, expression):
        with pytest.raises(cel.BadExpression) as found:
            cel.checked(expression)
        assert "INVALID_ARGUMENT" not in str(found.value)


class TestTheCallsThatAreTried:
    """A cost must come of each call that the gateway may tell: the text names one that fails."""

    @pytest.mark.parametrize(
        ("fails_where", "call"),
        [
            ("input_tokens == 0u", "no tokens"),
            (
                "input_tokens > 0u && input_tokens == cached_input_tokens",
                "input_tokens 1000, cached_input_tokens 1000, output_tokens 1, total_tokens 1001",
            ),
            (
                "cache_creation_input_tokens > 0u",
                "input_tokens 700, cache_creation_input_tokens 700, output_tokens 40, "
                "total_tokens 740",
            ),
            (
                "reasoning_tokens > 0u",
                "input_tokens 5, output_tokens 2000, total_tokens 2005, reasoning_tokens 1990",
            ),
            (
                "input_tokens > 100000u",
                "input_tokens 120000, cached_input_tokens 60000, output_tokens 8000, "
                "total_tokens 128000",
            ),
        ],
    )
    def test_are_of_every_kind(self, fails_where, call):
        with pytest.raises(cel.BadExpression, match=f"for a call with {call}: "):
            cel.checked(f"{fails_where} ? 1u / 0u : 0u")

    @pytest.mark.parametrize(
        "always",
        [
            "total_tokens == input_tokens + output_tokens",
            "cached_input_tokens + cache_creation_input_tokens <= input_tokens",
            "reasoning_tokens <= output_tokens",
            "backend == 'models/' + model + '/route/' + route_name + '/rule/0/ref/0'",
            "model == 'm-v1' && route_name == 'm'",
        ],
    )
    def test_are_as_the_gateway_tells_them(self, always):
        assert cel.checked(f"{always} ? 0u : 1u / 0u")

    def test_may_be_counted_in_a_thousand_characters(self):
        longest = "1u" + " " * 998
        assert cel.checked(longest) == longest
        with pytest.raises(cel.BadExpression, match="at most 1000 characters"):
            cel.checked(longest + " ")


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
        assert len(list(expressions_in(rendered()))) == 3


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
