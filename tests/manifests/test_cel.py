"""Cost expressions: what the gateway could use passes, what it would refuse or fail on is named."""

import pytest

from apps.manifests import cel, gateway


class TestChecked:
    @pytest.mark.parametrize(
        "expression",
        [
            "input_tokens + output_tokens * uint(3)",
            "input_tokens - cached_input_tokens + output_tokens * 3u",
            "model == 'm-v1' ? total_tokens : 0u",
            "backend.startsWith('models/') && route_name != '' ? reasoning_tokens : cache_creation_input_tokens",
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


class TestRoute:
    def test_carries_a_checked_expression_beside_the_tokens(self):
        place = {"gateway_name": "ai-gateway", "gateway_namespace": "ai-gateway"}
        made = gateway.route(model="m", weights=[gateway.Weight(1, 100)], cost="total_tokens * 2u", **place)
        costs = made["spec"]["llmRequestCosts"]
        assert costs[-1] == {"metadataKey": "llm_cost", "type": "CEL", "cel": "total_tokens * 2u"}
        assert {cost["type"] for cost in costs[:-1]} == {"InputToken", "CachedInputToken", "OutputToken", "TotalToken"}
        with pytest.raises(cel.BadExpression):
            gateway.route(model="m", weights=[gateway.Weight(1, 100)], cost="total_tokens * 2", **place)
