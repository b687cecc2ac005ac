"""The teams of the sample's company, who pays for them, and the people who act for them. Pure
facts.
"""

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

SEED = "meridian-health-1"
PEOPLE_PER_TEAM = 6


@dataclass(frozen=True)
class Person:
    """Somebody who signs in. group: what the identity provider says of them."""

    username: str
    name: str
    group: str
    team: str
    cost_center: str

    @property
    def asks_for_models(self) -> bool:
        """Tell whether they may ask for a model in the name of their team."""
        return self.group in ("qm-team-leads", "qm-model-owners")

    @property
    def subject(self) -> str:
        """Return the claim `sub`, as the local identity provider makes it for its people: whoever
        signs in as one of them here is the one of the sample.
        """
        return str(uuid5(NAMESPACE_URL, f"urn:quartermaster:persona:{self.username}"))

    def claims(self, issuer: str) -> dict[str, object]:
        """Return what a sign-in says of them."""
        return {
            "iss": issuer,
            "sub": self.subject,
            "preferred_username": self.username,
            "name": self.name,
            "groups": [self.group],
            "team": self.team,
            "cost_center": self.cost_center,
        }


@dataclass(frozen=True)
class Team:
    """A team and who pays for it. users: the subjects of its programs and people, opaque."""

    slug: str
    cost_center: str
    users: tuple[str, ...] = ()


def team_of(slug: str, cost_center: str) -> Team:
    """Return a team with the subjects of its callers: the same for the same name."""
    users = (
        str(uuid5(NAMESPACE_URL, f"{SEED}/{slug}/{place}")) for place in range(PEOPLE_PER_TEAM)
    )
    return Team(slug, cost_center, tuple(users))


TEAMS = tuple(
    team_of(slug, cost_center)
    for slug, cost_center in (
        ("claims-review", "CC-4100"),
        ("claims-intake", "CC-4100"),
        ("payment-integrity", "CC-4100"),
        ("prior-auth", "CC-4200"),
        ("utilization-management", "CC-4200"),
        ("appeals", "CC-4300"),
        ("care-management", "CC-4300"),
        ("member-services", "CC-5100"),
        ("provider-network", "CC-5200"),
        ("ml-platform", "CC-9000"),
        ("platform", "CC-9000"),
        ("model-risk", "CC-9100"),
        ("finance", "CC-9200"),
        ("audit", "CC-9300"),
    )
)
# Of each team one who may ask for models; many are the people of the local stack.
PEOPLE = tuple(
    Person(username, name, group, team, cost_center)
    for username, name, group, team, cost_center in (
        ("maya", "Maya Okafor", "qm-team-leads", "claims-review", "CC-4100"),
        ("ines", "Ines Duarte", "qm-team-leads", "claims-intake", "CC-4100"),
        ("tomas", "Tomas Vrana", "qm-team-leads", "payment-integrity", "CC-4100"),
        ("liam", "Liam Brandt", "qm-team-leads", "prior-auth", "CC-4200"),
        ("hana", "Hana Sato", "qm-team-leads", "utilization-management", "CC-4200"),
        ("george", "George Addo", "qm-team-leads", "appeals", "CC-4300"),
        ("lucia", "Lucia Ferri", "qm-team-leads", "care-management", "CC-4300"),
        ("noah", "Noah Weiss", "qm-team-leads", "member-services", "CC-5100"),
        ("priya", "Priya Nair", "qm-team-leads", "provider-network", "CC-5200"),
        ("owen", "Owen Hale", "qm-model-owners", "ml-platform", "CC-9000"),
        ("orla", "Orla Quinn", "qm-model-owners", "ml-platform", "CC-9000"),
        ("pete", "Pete Lindqvist", "qm-platform", "platform", "CC-9000"),
        ("rita", "Rita Vance", "qm-reviewers", "model-risk", "CC-9100"),
        ("ravi", "Ravi Menon", "qm-reviewers", "model-risk", "CC-9100"),
        ("fiona", "Fiona Castle", "qm-finance", "finance", "CC-9200"),
        ("felix", "Felix Moreau", "qm-finance", "finance", "CC-9200"),
        ("aisha", "Aisha Rahman", "qm-auditors", "audit", "CC-9300"),
        ("jonas", "Jonas Keller", "qm-team-leads", "platform", "CC-9000"),
        ("mira", "Mira Jansen", "qm-team-leads", "model-risk", "CC-9100"),
        ("otto", "Otto Lind", "qm-team-leads", "finance", "CC-9200"),
        ("vera", "Vera Costa", "qm-team-leads", "audit", "CC-9300"),
    )
)
