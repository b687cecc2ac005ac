"""A policy and its digest."""

import hashlib
from pathlib import Path

import yaml

from apps.manifests.gateway import Answers, Issuer, TeamLimit
from apps.manifests.policy import DIGEST_ANNOTATION, render_policy

ISSUER = Issuer("https://idp.example", "https://idp.example/keys")
ANSWERS = Answers(retry_after=30, portal_url="https://portal.example")
LIMITS = [TeamLimit("claims-review", 5000), TeamLimit("prior-auth", 700)]


def policy(limits=LIMITS, **more):
    facts = {"model": "extract", "issuer": ISSUER, "answers": ANSWERS}
    return render_policy(limits=limits, **facts | more)


class TestRenderPolicy:
    def test_lets_in_each_team_and_limits_it_by_itself(self):
        security, traffic = yaml.safe_load_all(policy().text)
        allowed = [
            rule["principal"]["jwt"]["claims"][0]["values"]
            for rule in security["spec"]["authorization"]["rules"]
        ]
        assert allowed == [["claims-review"], ["prior-auth"]]
        rules = traffic["spec"]["rateLimit"]["global"]["rules"]
        assert [rule["limit"]["requests"] for rule in rules] == [5000, 700]

    def test_has_the_digest_of_what_it_says_without_it(self):
        found = policy()
        for item in (objects := list(yaml.safe_load_all(found.text))):
            assert item["metadata"]["annotations"] == {DIGEST_ANNOTATION: found.digest}
        assert len(objects) == 2 and found.digest.startswith("sha256:")
        digest = found.digest.removeprefix("sha256:")
        assert len(digest) == hashlib.sha256().digest_size * 2

    def test_is_the_same_in_any_order_and_another_for_any_change(self):
        assert policy(LIMITS[::-1]) == policy()
        others = [
            policy(LIMITS[:1]),
            policy([LIMITS[0], TeamLimit("prior-auth", 701)]),
            policy(model="other"),
            policy(limit_cost="output_tokens * 2u"),
            policy(issuer=Issuer("https://idp.example", "https://idp.example/others")),
            policy(answers=Answers(31, "https://portal.example")),
        ]
        digests = {one.digest for one in (policy(), *others)}
        assert len(digests) == 7

    def test_is_made_in_one_place(self):
        makers = [
            path.name
            for path in (Path(__file__).parents[2] / "apps").rglob("*.py")
            if "security_policy(" in path.read_text() and path.name != "gateway.py"
        ]
        assert makers == ["policy.py"]
