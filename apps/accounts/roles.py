"""Groups of roles, one for each thing that several roles may do: no app spells them out again.

A group says what its people may see or do whatever their team is. What hangs on the team or the
model beside it (owning the model, having asked) stays with the rule that asks for it. Two groups
of the same roles are two groups: one may change without the other.
"""

from collections.abc import Collection
from dataclasses import dataclass

from apps.accounts.models import Role

EVERYBODY = tuple(Role.values)

# -- Work ------------------------------------------------------------------------------------------
# their team calls models, so its month and its grants are theirs to watch
USES_MODELS = (Role.TEAM_LEAD, Role.DEVELOPER, Role.MODEL_OWNER)
# ask for a model in the name of their team
ASKS_FOR_MODELS = (Role.TEAM_LEAD, Role.MODEL_OWNER)
# pause, resume, retry, abort and roll back any rollout; owners of the model steer its own
STEERS_ROLLOUTS = (Role.REVIEWER, Role.PLATFORM_ENGINEER)
# set what the callers of any model may count on; owners of a model for its own
SETS_OBJECTIVES = (Role.PLATFORM_ENGINEER,)
# are told of what failed: owners of their own models, platform engineers of all
MENDS_MODELS = (Role.MODEL_OWNER, Role.PLATFORM_ENGINEER)
# say what a contract for machines costs
SETS_MACHINE_PRICES = (Role.FINANCE,)
# register models, publish their versions, decide who may call those of their own team
OWNS_MODELS = (Role.MODEL_OWNER,)
# ask for a new open-weight model; model owners of the team that would own it, and platform
# engineers, decide about what somebody else asked for
ASKS_FOR_NEW_MODELS = (*USES_MODELS, Role.PLATFORM_ENGINEER)
DECIDES_NEW_MODELS = (Role.MODEL_OWNER, Role.PLATFORM_ENGINEER)
# decide about the suites that others ask for
DECIDES_SUITES = (Role.REVIEWER,)
# may be named by a promotion policy as those who decide about what somebody else proposed
DECIDES_PROMOTIONS = (Role.REVIEWER, Role.PLATFORM_ENGINEER)
# propose what a promotion policy says, and put in force what somebody else proposed
PROPOSES_POLICIES = (Role.PLATFORM_ENGINEER,)
DECIDES_POLICIES = (Role.REVIEWER,)
# propose what the gateway's guard looks for and what it then does, and put in force what somebody
# else proposed
PROPOSES_GUARDRAILS = (Role.PLATFORM_ENGINEER,)
DECIDES_GUARDRAILS = (Role.REVIEWER,)
# say of what the guard found whether it was one: never the team whose call it was found in
JUDGES_HITS = (Role.REVIEWER, Role.PLATFORM_ENGINEER, Role.AUDITOR)
# roll a version forward in an emergency
DECLARES_EMERGENCIES = (Role.PLATFORM_ENGINEER,)
# review an emergency afterwards in which they had no part
REVIEWS_EMERGENCIES = (Role.REVIEWER,)
# ask for a change of capacity
ASKS_FOR_CAPACITY = (Role.PLATFORM_ENGINEER,)
# decide about a change of capacity that somebody else asked for
DECIDES_CAPACITY = (Role.PLATFORM_ENGINEER, Role.REVIEWER)
# ask that nobody believes a signing key any more, and decide about it where somebody else asked
ASKS_TO_REVOKE_SIGNERS = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
DECIDES_SIGNERS = (Role.PLATFORM_ENGINEER, Role.REVIEWER)
# have any version read again, byte by byte; owners of a model its own
VERIFIES_VERSIONS = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
# propose prices, and publish those that somebody else proposed
PROPOSES_PRICES = (Role.FINANCE,)
PUBLISHES_PRICES = (Role.FINANCE,)
# ask for a month's close, and close one that somebody else asked to close
ASKS_TO_CLOSE = (Role.FINANCE,)
CLOSES_MONTHS = (Role.FINANCE,)
# have a statement's document made again
MENDS_DOCUMENTS = (Role.FINANCE, Role.PLATFORM_ENGINEER)
# see to it that the cloud's bill can be read: ask AWS for another delivery, mend the export
MENDS_BILLS = (Role.FINANCE, Role.PLATFORM_ENGINEER)
# try again, or leave out, usage that was received and is not counted
MENDS_USAGE = (Role.PLATFORM_ENGINEER, Role.FINANCE)
# set and end budgets, and decide about changes of them that somebody else asked for; owners of a
# model those of a team for it
SETS_COST_CENTER_BUDGETS = (Role.FINANCE, Role.PLATFORM_ENGINEER)
SETS_TEAM_BUDGETS = (Role.FINANCE,)
# propose by which rule a pipeline is let in, for models of their team; put in force what somebody
# else proposed; shut out any pipeline at once
PROPOSES_PIPELINES = (Role.MODEL_OWNER, Role.PLATFORM_ENGINEER)
DECIDES_PIPELINES = (Role.REVIEWER, Role.PLATFORM_ENGINEER)
ENDS_PIPELINES = (Role.PLATFORM_ENGINEER,)
# ask for what changes the prompt record: retention, holds, erasures, who reads beside them
ASKS_ABOUT_PROMPTS = (Role.AUDITOR,)
# decide about it where somebody else asked
DECIDES_PROMPTS = (Role.REVIEWER, Role.AUDITOR)
# have their own notices posted to an address, where whoever runs the portal named its host
KEEPS_WEBHOOKS = EVERYBODY

# -- Oversight -------------------------------------------------------------------------------------
# see what every team asked for, was granted and called
SEES_EVERY_TEAM = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see what every team spends
SEES_ALL_MONEY = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see nodes, claims, replicas and their costs
SEES_FLEET = (Role.PLATFORM_ENGINEER, Role.FINANCE, Role.AUDITOR)
# see what pools may buy and who asked to change it: those who decide, and those who oversee
SEES_CAPACITY = (*DECIDES_CAPACITY, Role.FINANCE, Role.AUDITOR)
# look after the models of all teams on their home page
SEES_EVERY_MODEL = (Role.PLATFORM_ENGINEER, Role.REVIEWER, Role.AUDITOR)
# see the registry's keys, its bucket's settings and what was verified when
SEES_REGISTRY = (Role.MODEL_OWNER, Role.REVIEWER, Role.PLATFORM_ENGINEER, Role.AUDITOR)
# search the prompt record, and open a prompt for a stated reason
READS_PROMPTS = (Role.AUDITOR,)
# may do so, too, once an auditor named them, until a day
MAY_BE_NAMED_READERS = (Role.REVIEWER,)
# see what is kept of prompts and for how long, holds and erasures, and no prompt
OVERSEES_PROMPTS = (Role.REVIEWER, Role.AUDITOR)
# see proposed changes of promotion policies; what is in force is everybody's to see
OVERSEES_POLICIES = (*PROPOSES_POLICIES, *DECIDES_POLICIES, Role.AUDITOR)
# see proposed changes of guard rules; what is in force is everybody's to see
OVERSEES_GUARDRAILS = (*PROPOSES_GUARDRAILS, *DECIDES_GUARDRAILS, Role.AUDITOR)
# see pipelines, their rules and their runs
OVERSEES_PIPELINES = (Role.MODEL_OWNER, *DECIDES_PIPELINES, Role.AUDITOR)
# read the audit record
OVERSEES_RECORD = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
# look at the roles of others again, and keep each or take it away
RECERTIFIES_ROLES = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
# take evidence packs away: whoever does sees all money and all decisions in them
TAKES_EVIDENCE = (Role.PLATFORM_ENGINEER, Role.AUDITOR)
# are told of every emergency, and of its review that is overdue
SEES_EMERGENCIES = (Role.REVIEWER, Role.PLATFORM_ENGINEER, Role.AUDITOR)


@dataclass(frozen=True)
class Ability:
    """What some roles may see or do, in words that follow "may"; limit: what it is limited to."""

    words: str
    roles: Collection[str]
    limit: str = ""


@dataclass(frozen=True)
class Duty:
    """A decision that one person asks for and another takes: which roles may do either part."""

    words: str
    asks: Collection[str]
    decides: Collection[str]
    limit: str = ""

    def is_both(self, roles: Collection[str]) -> bool:
        """Tell whether somebody with these roles could ask, and could decide (about what others
        asked for: nobody decides on their own).
        """
        return not set(self.asks).isdisjoint(roles) and not set(self.decides).isdisjoint(roles)


ABILITIES = (
    Ability("call models that their team has a grant for", USES_MODELS),
    Ability("ask for a model in the name of their team", ASKS_FOR_MODELS),
    Ability("register models and publish versions", OWNS_MODELS, "models of their own team"),
    Ability("pause, resume, retry, abort and roll back rollouts", STEERS_ROLLOUTS),
    Ability("roll a version forward in an emergency", DECLARES_EMERGENCIES),
    Ability("set what the callers of every model may count on", SETS_OBJECTIVES),
    Ability("say what a contract for machines costs", SETS_MACHINE_PRICES),
    Ability("count quarantined usage again, or leave it out", MENDS_USAGE),
    Ability("have the document of a statement made again", MENDS_DOCUMENTS),
    Ability("set and end budgets of cost centers", SETS_COST_CENTER_BUDGETS),
    Ability("set and end budgets of teams", SETS_TEAM_BUDGETS),
    Ability(
        "have their own notices posted to a webhook", KEEPS_WEBHOOKS, "hosts that are named for it"
    ),
    Ability("see what every team asked for, was granted and called", SEES_EVERY_TEAM),
    Ability("see what every team spends", SEES_ALL_MONEY),
    Ability("see nodes, claims, replicas and what they cost", SEES_FLEET),
    Ability("see what pools may buy, and who asked to change it", SEES_CAPACITY),
    Ability("look after the models of all teams", SEES_EVERY_MODEL),
    Ability("see the registry's keys and what was verified", SEES_REGISTRY),
    Ability("have any version read again, byte by byte", VERIFIES_VERSIONS),
    Ability("see proposed changes of promotion policies", OVERSEES_POLICIES),
    Ability("see proposed changes of guard rules", OVERSEES_GUARDRAILS),
    Ability("see what the guard found in every team's calls, and judge it", JUDGES_HITS),
    Ability("be told of every emergency", SEES_EMERGENCIES),
    Ability("see pipelines, their rules and their runs", OVERSEES_PIPELINES),
    Ability("shut out a pipeline at once", PROPOSES_PIPELINES, "owners: those of their own team"),
    Ability("read the audit record", OVERSEES_RECORD),
    Ability("take evidence packs away", TAKES_EVIDENCE),
    Ability("search and open prompts, each for a stated reason", READS_PROMPTS),
    Ability(
        "search and open prompts, each for a stated reason",
        MAY_BE_NAMED_READERS,
        "whom an auditor named, until a day",
    ),
    Ability("see what is kept of prompts, holds and erasures", OVERSEES_PROMPTS),
    Ability("keep prompts beyond their time by a legal hold", ASKS_ABOUT_PROMPTS),
    Ability("keep roles of others, or take them away", RECERTIFIES_ROLES),
)
DUTIES = (
    Duty("who may call a model", ASKS_FOR_MODELS, OWNS_MODELS, "models of the decider's team"),
    Duty("whether access is kept", ASKS_FOR_MODELS, OWNS_MODELS, "models of the decider's team"),
    Duty("what a suite asks and demands", OWNS_MODELS, DECIDES_SUITES),
    Duty("which version serves", OWNS_MODELS, DECIDES_PROMOTIONS, "roles that the policy names"),
    Duty("what the promotion policy says", PROPOSES_POLICIES, DECIDES_POLICIES),
    Duty("what the guard looks for and does", PROPOSES_GUARDRAILS, DECIDES_GUARDRAILS),
    Duty("which pipelines are let in", PROPOSES_PIPELINES, DECIDES_PIPELINES),
    Duty("whether an emergency was one", DECLARES_EMERGENCIES, REVIEWS_EMERGENCIES),
    Duty("whether a signing key is revoked", ASKS_TO_REVOKE_SIGNERS, DECIDES_SIGNERS),
    Duty("what a pool may buy", ASKS_FOR_CAPACITY, DECIDES_CAPACITY),
    Duty("what tokens cost", PROPOSES_PRICES, PUBLISHES_PRICES),
    Duty("whether a month is closed", ASKS_TO_CLOSE, CLOSES_MONTHS),
    Duty("what is kept of prompts, and for how long", ASKS_ABOUT_PROMPTS, DECIDES_PROMPTS),
    Duty("whether a legal hold is lifted", ASKS_ABOUT_PROMPTS, DECIDES_PROMPTS),
    Duty("whether a member's prompts are erased", ASKS_ABOUT_PROMPTS, DECIDES_PROMPTS),
    Duty("how large a budget is", ASKS_FOR_MODELS, (*SETS_COST_CENTER_BUDGETS, *OWNS_MODELS)),
)


def abilities_of(roles: Collection[str]) -> list[Ability]:
    """Return what somebody with these roles may see or do."""
    return [one for one in ABILITIES if not set(one.roles).isdisjoint(roles)]


def both_parts_of(roles: Collection[str]) -> list[Duty]:
    """Return the decisions of which somebody with these roles could take either part."""
    return [one for one in DUTIES if one.is_both(roles)]
