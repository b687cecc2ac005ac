"""What becomes of a call: by its grant's data class, its model's, and the rules in force."""

from datetime import timedelta

import pytest

from apps.prompts.capture.terms import Terms, read_terms
from apps.prompts.rules import actions
from apps.prompts.rules.queries import FIRST, Ruling
from apps.prompts.rules.rules import Rules
from tests.factories import NOW, RegisteredModelFactory, TeamFactory
from tests.gateway.purse.worlds import grant

DAY, LEAST = timedelta(days=1), timedelta(microseconds=1)


class TestKeepOf:
    def test_takes_the_mode_of_the_model_by_the_rules_of_the_class(self):
        rules = {
            "PHI": Rules("REQUIRED", 365, {"extract": "OFF"}),
            "INTERNAL": Rules("BEST_EFFORT", 90),
            "PUBLIC": Rules("OFF", 30),
        }
        rulings = {name: Ruling(one, None) for name, one in rules.items()}
        terms = Terms(
            rulings, {"extract": "INTERNAL", "notes": "PUBLIC"}, {("claims", "extract"): "PHI"}
        )
        found = {
            (team, model): terms.keep_of(team, model)
            for team, model in (
                ("claims", "extract"), ("prior", "extract"), ("claims", "notes"), ("prior", "none"),
            )
        }  # fmt: skip
        assert {key: (one.data_class, one.mode) for key, one in found.items()} == {
            ("claims", "extract"): ("PHI", "OFF"),
            ("prior", "extract"): ("INTERNAL", "BEST_EFFORT"),
            ("claims", "notes"): ("PUBLIC", "OFF"),
            ("prior", "none"): ("PHI", "REQUIRED"),
        }
        for one in found.values():
            assert one.ruling == rulings[one.data_class]
            assert one.until(NOW) == rules[one.data_class].until(NOW)


@pytest.mark.django_db
class TestReadTerms:
    def test_knows_grants_for_as_long_as_they_last(self, django_assert_num_queries):
        claims, prior = TeamFactory(slug="claims"), TeamFactory(slug="prior")
        one = RegisteredModelFactory(name="extract", data_class="INTERNAL")
        other = RegisteredModelFactory(name="notes", data_class="PUBLIC")
        given = grant(claims, one, now=NOW)
        grant(prior, other, now=NOW)
        with django_assert_num_queries(3):
            terms = read_terms(NOW)
        assert terms.models == {"extract": "INTERNAL", "notes": "PUBLIC"}
        assert terms.grants == {("claims", "extract"): "PHI", ("prior", "notes"): "PHI"}
        for at, found in (
            (given.active_from - LEAST, "INTERNAL"), (given.active_from, "PHI"),
            (given.active_to - LEAST, "PHI"), (given.active_to, "INTERNAL"),
        ):  # fmt: skip
            assert read_terms(at).keep_of("claims", "extract").data_class == found

    def test_knows_the_rules_of_its_moment(self, ada, carol):
        rules = Rules("OFF", 10)
        change = actions.propose_retention(
            data_class="PHI", rules=rules, justification="As counsel asked.", requester=ada,
            now=NOW,
        )  # fmt: skip
        actions.approve_retention(change=change, approver=carol, reason="Right.", now=NOW + DAY)
        before, after = read_terms(NOW + DAY - LEAST), read_terms(NOW + DAY)
        assert before.keep_of("any", "any").ruling.rules == FIRST["PHI"]
        assert after.keep_of("any", "any").ruling.rules == rules
        assert after.rulings["INTERNAL"].rules == before.rulings["INTERNAL"].rules
