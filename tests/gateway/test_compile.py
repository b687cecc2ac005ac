"""A policy and its digest."""

import hashlib

import yaml

from apps.gateway.compile import DIGEST_ANNOTATION, compile_policy
from apps.manifests.gateway import Answers, Issuer, TeamLimit

ISSUER = Issuer("https://idp.example", "https://idp.example/keys")
ANSWERS = Answers(retry_after=30, portal_url="https://portal.example")
LIMITS = [TeamLimit("claims-review", 5000), TeamLimit("prior-auth", 700)]


def policy(limits=LIMITS, **more):
    facts = {"model": "extract", "issuer": ISSUER, "answers": ANSWERS}
    return compile_policy(limits=limits, **facts | more)


class TestCompilePolicy:
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
