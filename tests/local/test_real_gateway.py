"""What `make check-gateway` takes for accepted, without the gateways."""

from tests.real_gateway.conditions import problems
from tests.real_gateway.objects import MODELS, rendered


def condition(kind, status, message=""):
    return {"type": kind, "status": status, "reason": "Why", "message": message}


class TestProblems:
    def test_are_none_where_everything_is_accepted(self):
        listener = {
            "conditions": [condition("Accepted", "True"), condition("ResolvedRefs", "True")]
        }
        status = {
            "conditions": [condition("Accepted", "True"), condition("Programmed", "True")],
            "listeners": [listener],
        }
        assert problems({"status": status}) == []

    def test_are_found_in_the_words_of_each_ancestor(self):
        ancestors = [
            {"conditions": [condition("Accepted", "True")]},
            {"conditions": [condition("Accepted", "False", "No.")]},
        ]
        assert problems({"status": {"ancestors": ancestors}}) == ["Accepted=False Why: No."]

    def test_are_found_below_a_parent_that_accepted(self):
        parent = {"conditions": [condition("Accepted", "True"), condition("ResolvedRefs", "False")]}
        assert problems({"status": {"parents": [parent]}}) == ["ResolvedRefs=False Why: "]

    def test_take_silence_for_no_consent(self):
        assert (
            problems({})
            == problems({"status": {"conditions": []}})
            == ["no controller has said anything about it"]
        )

    def test_are_a_conflict_beside_an_acceptance_but_not_an_override(self):
        accepted = condition("Accepted", "True")
        assert problems(
            {"status": {"conditions": [accepted, condition("Conflicted", "True")]}}
        ) == ["Conflicted=True Why: "]
        assert (
            problems({"status": {"conditions": [accepted, condition("Overridden", "True")]}}) == []
        )


class TestTheObjects:
    def test_are_rendered_for_each_model(self):
        routes = {
            found["metadata"]["name"]: found
            for found in rendered()
            if found["kind"] == "AIGatewayRoute"
        }
        assert routes.keys() == MODELS.keys()
        assert "CEL" in {cost["type"] for cost in routes["tried"]["spec"]["llmRequestCosts"]}
