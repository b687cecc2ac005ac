"""Cost expressions as the local gateway computes them: the same names, types and results as Envoy
AI Gateway's.
"""

import pytest

from apps.manifests import cel
from deploy.local.gateway import expressions, processor
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.tables import Cost, Destination, Upstream
from deploy.local.gateway.usage import Usage

USAGE = Usage(
    input_tokens=100, cached_input_tokens=60, output_tokens=7, total_tokens=107, reasoning_tokens=2
)
NAMES = {"model": "m-v1", "backend": "models/m-v1/route/m/rule/0/ref/0", "route_name": "m"}


class TestValueOf:
    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("total_tokens", 107),
            ("input_tokens - cached_input_tokens + output_tokens * 3u", 61),
            ("int(output_tokens) * 2", 14),
            ("reasoning_tokens + cache_creation_input_tokens", 2),
            ("model == 'm-v1' && route_name == 'm' && backend.endsWith('/ref/0') ? 1u : 0u", 1),
        ],
    )
    def test_computes(self, expression, value):
        assert cel.checked(expression), "the portal takes it"
        assert expressions.value_of(expression, USAGE, NAMES) == value

    @pytest.mark.parametrize(
        "expression",
        ["output_tokens - input_tokens", "1u / (output_tokens - 7u)", "int(output_tokens) - 8"],
    )
    def test_gives_nothing_where_it_fails_or_is_negative(self, expression):
        with pytest.raises(cel.BadExpression):
            cel.checked(expression)
        assert expressions.value_of(expression, USAGE, NAMES) is None


class TestProgram:
    @pytest.mark.parametrize(
        "expression", ["", "tokens", "output_tokens * 3", "model", "output_tokens > 1u"]
    )
    def test_refuses_what_the_portal_refuses(self, expression):
        with pytest.raises(cel.BadExpression):
            cel.checked(expression)
        with pytest.raises(Refused, match="llmRequestCosts: the CEL expression"):
            expressions.program(expression)


class TestCosts:
    def test_leave_out_the_one_that_fails(self):
        costs = (
            Cost("total", "TotalToken"),
            Cost("fails", "CEL", "output_tokens - input_tokens"),
            Cost("new", "CEL", "input_tokens - cached_input_tokens"),
            Cost("name", "CEL", "model == 'm-v1' && route_name == 'm' ? 1u : 0u"),
        )
        upstream = Upstream("m-v1", "OpenAI", "/v1", "models/m-v1", NAMES["backend"])
        found = processor.costs_of(Destination("models/m", costs, {}), upstream, USAGE, "m-v1")
        assert found == {"total": 107, "new": 40, "name": 1}
