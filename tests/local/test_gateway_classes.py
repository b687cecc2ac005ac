"""The class of a call on its way, on the real Envoy: the gate tells it, the product's own route has
a rule for it, and the engine gets the priority that the rule sets.
"""

import pytest

from apps.manifests import gateway as manifests
from tests.local.gateway_objects import policy, version
from tests.local.gateway_stand import binaries, eventually, stand

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]
BY_DAY, BY_NIGHT = "claims-review", "night-shift"
PLENTY = {BY_DAY: 1_000_000_000, BY_NIGHT: 1_000_000_000}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A model whose first version takes calls by their priority, and whose second does not."""
    gate = ("tests.local.counting_gate", str(tmp_path_factory.mktemp("ledger") / "ledger"))
    with stand(tmp_path_factory.mktemp("classes"), binaries(), gate) as running:
        weights = [manifests.Weight(1, 50, by_priority=True), manifests.Weight(2, 50)]
        route = manifests.route(
            model="extract", weights=weights, gateway_name="ai-gateway",
            gateway_namespace="ai-gateway",
        )  # fmt: skip
        route["metadata"]["generation"] = 1
        objects = [route, *policy("extract", PLENTY, jwks=running.jwks)]
        for name in ("extract-v1", "extract-v2"):
            objects += version(name)
        running.put("model-extract", objects)
        running.publish("other", {"other-v1": 1}, PLENTY)
        eventually(lambda: "extract" in running.models())
        yield running


def priorities(gateway, team, **more):
    """Call each version of the model at least once as a team; return version → the priorities that
    its engine got.
    """
    engines = {name: gateway.engines[name][0] for name in ("extract-v1", "extract-v2")}
    for engine in engines.values():
        engine.calls.clear()
    token = gateway.identity.token(team=team)
    while not all(engine.calls for engine in engines.values()):
        assert gateway.chat("extract", token=token, **more).status_code == 200
    return {
        name: {call["body"].get("priority") for call in engine.calls}
        for name, engine in engines.items()
    }


class TestClasses:
    def test_have_the_priority_of_their_rule_where_the_engine_schedules_by_it(self, gateway):
        assert priorities(gateway, BY_NIGHT) == {"extract-v1": {10}, "extract-v2": {None}}
        assert priorities(gateway, BY_DAY) == {"extract-v1": {None}, "extract-v2": {None}}

    def test_cannot_be_chosen_by_a_caller(self, gateway):
        headers = {"x-qm-class": "interactive"}
        assert priorities(gateway, BY_NIGHT, headers=headers)["extract-v1"] == {10}
        headers = {"X-QM-Class": "batch"}
        assert priorities(gateway, BY_DAY, headers=headers)["extract-v1"] == {None}
        token = gateway.identity.token(team=BY_NIGHT)
        refused = gateway.chat("extract", token=token, priority=-1)
        assert refused.status_code == 400

    def test_are_metered_alike(self, gateway):
        for team in (BY_DAY, BY_NIGHT):
            answer = gateway.chat("extract", token=gateway.identity.token(team=team))
            line = gateway.logged(answer)
            assert (line["team"], line["response_code"]) == (team, 200)
            assert line["gen_ai.request.model_override"] in ("extract-v1", "extract-v2")
            assert int(line["gen_ai.usage.output_tokens"]) > 0

    def test_find_the_one_rule_of_a_model_that_has_no_other(self, gateway):
        token = gateway.identity.token(team=BY_NIGHT)
        assert gateway.chat("other", token=token).status_code == 200
        assert "priority" not in gateway.engines["other-v1"][0].calls[-1]["body"]
