"""What a set of rules may say, what it may not, and for which calls a rule is."""

import json

import pytest

from apps.gateway.guard.rules import BadRules, Phase, Rule, RuleSet, Scope, lower_data_class
from apps.gateway.guard.shipped import SHIPPED

SECRETS = {"name": "a", "phase": "request", "provider": {"type": "Secrets"}, "action": "block"}


def a_set(**changes):
    """Return a set of one rule, as JSON."""
    return {"rules": [{**SECRETS, **changes}]}


class TestRuleSet:
    def test_is_the_same_after_it_was_kept(self):
        kept = json.loads(json.dumps(SHIPPED.as_json()))
        assert RuleSet.of(kept) == SHIPPED
        assert RuleSet.of(kept).as_json() == kept

    @pytest.mark.parametrize(
        "provider",
        [
            {"type": "Regex", "patterns": {"ORCHID": "(?i)orchid", "Q_NUMBER": "Q-[0-9]{4}"}},
            {"type": "Classifier", "model": "guard", "labels": ["INJECTION", "unsafe"]},
            {"type": "ChatGuard", "model": "granite", "dialect": "granite-guardian-3.3",
             "criterion": "jailbreak"},
            {"type": "Presidio", "language": "en"},
        ],
    )  # fmt: skip
    def test_keeps_what_each_provider_is_told(self, provider):
        made = RuleSet.of(a_set(provider=provider))
        assert made.as_json()["rules"][0]["provider"] == provider
        assert RuleSet.of(json.loads(json.dumps(made.as_json()))) == made

    def test_has_defaults_that_close(self):
        (rule,) = RuleSet.of(a_set()).rules
        assert (rule.fails_closed, rule.threshold, rule.scope) == (True, 0.5, Scope())

    def test_says_at_most_what_it_may(self):
        names = [{**SECRETS, "name": f"{n:02}" + "a" * 61} for n in range(50)]
        assert len(RuleSet.of({"rules": names}).rules) == 50
        for changes in (
            {"threshold": 0}, {"threshold": 1}, {"timeoutSeconds": 0.05}, {"timeoutSeconds": 60},
            {"message": "x" * 300}, {"maskReplacement": "x" * 60}, {"detectors": ["JWT"]},
            {"provider": {"type": "Regex", "patterns": {f"X{n}": "ab" for n in range(20)}},
             "detectors": ["X0", "X19"]},
            {"provider": {"type": "Presidio", "language": "en"}, "detectors": ["PERSON_2"]},
            {"provider": {"type": "Classifier", "model": "m", "labels": ["X", "Y"]},
             "detectors": ["Y"]},
            {"provider": {"type": "ChatGuard", "model": "m", "dialect": "d",
                          "criterion": "x" * 500}},
        ):  # fmt: skip
            assert RuleSet.of(a_set(**changes)).as_json()["rules"][0].items() >= changes.items()

    def test_keeps_all_that_a_rule_can_say(self):
        whole = {
            "name": "masked", "phase": "answer", "provider": {"type": "MemberData"},
            "detectors": ["US_SSN", "CLAIM_ID"], "action": "mask",
            "scope": {"models": ["extract", "notes"], "teams": ["claims", "prior"],
                      "dataClasses": ["PUBLIC", "PHI"]},
            "threshold": 0.7, "onlyNew": True, "failureMode": "FailOpen", "timeoutSeconds": 3.5,
            "message": "Ask her doctor.", "maskReplacement": "***",
        }  # fmt: skip
        made = RuleSet.of({"rules": [whole, SECRETS]})
        assert made.as_json()["rules"][0] == whole
        rule, other = made.rules
        assert (rule.only_new, rule.fails_closed, rule.timeout_seconds) == (True, False, 3.5)
        assert rule.scope == Scope(("extract", "notes"), ("claims", "prior"), ("PUBLIC", "PHI"))
        assert (other.only_new, other.fails_closed, other.timeout_seconds) == (False, True, 2)
        assert (other.message, other.mask_replacement, other.detectors) == ("", "[REDACTED]", ())

    @pytest.mark.parametrize(
        ("changes", "finds"),
        [
            ({"detectors": ["JWT"]}, ("JWT",)),
            ({"provider": {"type": "Regex", "patterns": {"X": "ab", "Y": "cd"}}}, ("X", "Y")),
            ({"provider": {"type": "Classifier", "model": "m", "labels": ["A", "B"]}}, ("A", "B")),
            ({"provider": {"type": "Presidio", "language": "en"}}, ()),
        ],
    )
    def test_names_what_a_rule_can_find(self, changes, finds):
        (rule,) = RuleSet.of(a_set(**changes)).rules
        assert rule.finds == finds
        (all_of_them,) = RuleSet.of(a_set()).rules
        assert "JWT" in all_of_them.finds and "API_KEY" in all_of_them.finds

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ([], "is an object"),
            ({}, "wants rules"),
            ({"rules": []}, "1 to 50 rules"),
            ({"rules": [SECRETS] * 51}, "1 to 50 rules"),
            ({"rules": [SECRETS, SECRETS]}, "each given once"),
            ({"rules": "a"}, "is a list"),
            (a_set(name="A b"), "lower-case"),
            (a_set(phase="Request"), "phase is one of"),
            (a_set(action="mask"), "only answers can be masked"),
            (a_set(onlyNew=True), "onlyNew is for answers"),
            (a_set(phase="answer", onlyNew="no"), "onlyNew is true or false"),
            (a_set(failureMode="Open"), "failureMode is one of"),
            (a_set(threshold=1.1), "from 0 to 1"),
            (a_set(threshold=True), "from 0 to 1"),
            (a_set(timeoutSeconds=0), "from 0.05 to 60"),
            (a_set(message="a\nb"), "one line"),
            (a_set(message="x" * 301), "at most 300"),
            (a_set(detectors=["US_SSN"]), "no detector of Secrets"),
            (a_set(detectors=["JWT", "JWT"]), "each given once"),
            (a_set(detectors="JWT"), "list of texts"),
            (a_set(unknown=1), "has no unknown"),
            (a_set(provider={"type": "Magic"}), "provider.type is one of"),
            (a_set(provider={"type": "Secrets", "model": "m"}), "Secrets has no provider.model"),
            (a_set(provider={"type": "Regex"}), "Regex wants provider.patterns"),
            (a_set(provider={"type": "Regex", "patterns": {"x": "a"}}), "upper-case"),
            (a_set(provider={"type": "Regex", "patterns": {"X": "(a)\\1"}}), "RE2 cannot read"),
            (a_set(provider={"type": "Regex", "patterns": {"X": "a*"}}), "empty text"),
            (a_set(provider={"type": "Classifier", "model": "m"}), "wants provider.labels"),
            (a_set(scope={"models": ["<b>"]}), "lists names"),
            (a_set(scope={"dataClasses": ["SECRET"]}), "scope.dataClasses is one of"),
            (a_set(scope={"callers": []}), "has no callers"),
            (a_set(scope={"teams": ["<b>"]}), "scope.teams lists names"),
            (a_set(scope={"teams": ["a", "a"]}), "scope.teams are each given once"),
            (a_set(scope={"models": "extract"}), "scope.models is a list"),
            (a_set(scope=[]), "scope is an object"),
            (a_set(threshold=-0.1), "from 0 to 1"),
            (a_set(threshold="1"), "from 0 to 1"),
            (a_set(timeoutSeconds=0.049), "from 0.05 to 60"),
            (a_set(timeoutSeconds=60.1), "from 0.05 to 60"),
            (a_set(name="a" * 64), "lower-case"),
            (a_set(name="a-"), "lower-case"),
            (a_set(name=5), "name is a text"),
            (a_set(message=5), "message is one line"),
            (a_set(maskReplacement=""), "maskReplacement is empty"),
            (a_set(maskReplacement="x" * 61), "at most 60"),
            (a_set(provider={"type": "Classifier", "model": "a b", "labels": ["X"]}),
             "provider.model lists names"),
            (a_set(provider={"type": "Classifier", "model": "m", "labels": ["X", "X"]}),
             "provider.labels are each given once"),
            (a_set(provider={"type": "Classifier", "model": "m", "labels": ["X"]},
                   detectors=["Y"]), "Y is no detector of Classifier"),
            (a_set(provider={"type": "Regex", "patterns": {"X": "ab"}}, detectors=["Y"]),
             "Y is no detector of Regex"),
            (a_set(provider={"type": "Presidio", "language": "en"}, detectors=["person"]),
             "person is no detector of Presidio"),
            (a_set(provider={"type": "ChatGuard", "model": "m", "dialect": "d",
                             "criterion": "x" * 501}), "provider.criterion is one line"),
            (a_set(provider={"type": "Regex", "patterns": {f"X{n}": "ab" for n in range(21)}}),
             "at most 20 patterns"),
            (a_set(provider={"type": "Regex", "patterns": {"X": 5}}), "X is a text"),
            (a_set(provider={}), "provider wants type"),
            (a_set(provider="Secrets"), "provider is an object"),
        ],
    )  # fmt: skip
    def test_refuses(self, body, why):
        with pytest.raises(BadRules, match=why):
            RuleSet.of(body)

    @pytest.mark.parametrize(
        ("second", "words"),
        [
            ({**SECRETS, "name": "b", "threshold": 2},
             "Rule 2 (b): threshold is a number from 0 to 1."),
            ({**SECRETS, "name": "b", "detectors": ["SSN"]},
             "Rule 2 (b): SSN is no detector of Secrets."),
            ({"name": "b"}, "Rule 2 (b): a rule wants phase, provider, action."),
            ({**SECRETS, "name": "B!"},
             "Rule 2: its name is lower-case letters, digits and dashes."),
            ({**SECRETS, "name": ""}, "Rule 2: its name is lower-case letters, digits and dashes."),
            ("b", "Rule 2: a rule is an object."),
        ],
    )  # fmt: skip
    def test_says_which_rule_is_wrong(self, second, words):
        with pytest.raises(BadRules) as problem:
            RuleSet.of({"rules": [SECRETS, second]})
        assert str(problem.value) == words


class TestIsFor:
    def test_narrows_by_all_that_is_named(self):
        def rule(name, phase=Phase.REQUEST, **scope):
            return Rule(name=name, phase=phase.value, provider="Secrets", action="block",
                        scope=Scope(**scope))  # fmt: skip

        rules = (
            rule("all"), rule("answers", Phase.ANSWER), rule("summary", models=("summary",)),
            rule("claims", teams=("claims",)), rule("phi", data_classes=("PHI",)),
            rule("both", models=("summary", "coder"), data_classes=("PUBLIC",)),
        )  # fmt: skip

        def names(phase=Phase.REQUEST, **call):
            return [one.name for one in rules if one.is_for(phase, **call)]

        assert names(model="summary", team="claims", data_class="PHI") == [
            "all", "summary", "claims", "phi",
        ]  # fmt: skip
        assert names(model="coder", team="appeals", data_class="PUBLIC") == ["all", "both"]
        of_answers = names(Phase.ANSWER, model="coder", team="x", data_class="PHI")
        assert of_answers == ["answers"]


class TestLowerDataClass:
    def test_is_what_both_allow(self):
        assert lower_data_class(["PHI", "PHI"]) == "PHI"
        assert lower_data_class(["PHI", "INTERNAL"]) == "INTERNAL"
        assert lower_data_class(["PUBLIC", "PHI"]) == "PUBLIC"

    def test_is_the_lowest_where_nobody_says(self):
        assert lower_data_class([]) == "PUBLIC"


class TestShipped:
    def test_closes_by_default(self):
        assert all(rule.fails_closed for rule in SHIPPED.rules)

    def test_refuses_member_data_only_where_it_is_not_approved(self):
        def blocks(data_class):
            call = {"model": "m", "team": "t", "data_class": data_class}
            rules = [one for one in SHIPPED.rules if one.is_for(Phase.REQUEST, **call)]
            return [one.provider for one in rules if one.action == "block"]

        assert "MemberData" in blocks("PUBLIC")
        assert "MemberData" in blocks("INTERNAL")
        assert "MemberData" not in blocks("PHI")
        assert "PromptInjection" in blocks("PHI")
