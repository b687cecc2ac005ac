"""Envoy Gateway's policies as the cluster has them."""

import pytest
import yaml

from apps.integrations.kubernetes.policies import policy
from apps.manifests.gateway import Answers, Issuer, TeamLimit
from apps.manifests.policy import render_policy


def rendered(*limits):
    """Return the objects that the portal writes, which the cluster then has."""
    made = render_policy(
        model="extract", limits=[TeamLimit(*each) for each in limits],
        issuer=Issuer("https://idp.test", "https://idp.test/jwks"),
        answers=Answers(30, "https://portal.test"),
    )  # fmt: skip
    return list(yaml.safe_load_all(made.text))


def judged(obj, *conditions, generation=2):
    obj["metadata"]["generation"] = generation
    obj["status"] = {"ancestors": [{"conditions": [each]} for each in conditions]}
    return obj


def condition(status, seen=2, message=""):
    return {"type": "Accepted", "status": status, "observedGeneration": seen, "message": message}


class TestPolicy:
    def test_reads_what_the_portal_renders(self):
        access, traffic = map(policy, rendered(("prior-auth", 500), ("claims-review", 1000)))
        assert (access.name, access.teams) == ("extract", ("claims-review", "prior-auth"))
        assert traffic.limits == {"claims-review": 1000, "prior-auth": 500}
        assert (access.limits, traffic.teams) == ({}, ())

    @pytest.mark.parametrize(("conditions", "accepted", "says"), [
        ((), None, ""),
        ((condition("True"),), True, ""),
        ((condition("True"), condition("False", message="Conflicted")), False, "Conflicted"),
        ((condition("True", seen=1),), None, ""),  # of an older spec
        (({"type": "Overridden", "status": "True"},), None, ""),
    ])  # fmt: skip
    def test_reads_what_its_gateways_say(self, conditions, accepted, says):
        found = policy(judged(rendered()[0], *conditions))
        assert (found.is_accepted, found.says) == (accepted, says)

    def test_makes_nothing_of_what_is_odd(self):
        assert policy({}).is_accepted is None
        assert policy({"spec": {"authorization": None, "rateLimit": {}}}).teams == ()
