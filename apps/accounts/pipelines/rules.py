"""When a token of GitHub Actions is believed: a rule of exact values, and nothing else. Pure.

A rule names the repository by name and by the ids that GitHub never gives again, the subjects, the
ref, where there is one the environment and the workflow, what started the run, and the people whose
pushes count. There is no pattern in it: a rule with a wildcard, or without a condition on the
subject, would let in whoever can make a repository of a fitting name.

A subject comes in two forms: `repo:ORG/REPO:…`, and with ids `repo:ORG@ID/REPO@ID:…` for
repositories that were made, renamed or moved after 15 July 2026. A rule may list both.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

PUBLISH, EVALUATE, PROPOSE = "publish", "evaluate", "propose"
ABILITIES = (PUBLISH, EVALUATE, PROPOSE)
EVENTS = ("push", "release", "workflow_dispatch")  # what a person starts who may push
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}\Z")
REF = re.compile(r"refs/(?:heads|tags)/[^\s:~^\\]{1,200}\Z")
NUMBER = re.compile(r"[1-9][0-9]{0,19}\Z")
LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})\Z")
MODEL = re.compile(r"[a-z][-a-z0-9]{0,39}\Z")
WORKFLOW = re.compile(r"\.github/workflows/[A-Za-z0-9._-]{1,100}\.ya?ml\Z")
WILDCARDS = frozenset("*?")


def server_of(issuer: str) -> str:
    """Return the address of the GitHub whose Actions sign tokens as this issuer: github.com, a
    company's own at ghe.com, or an Enterprise Server, whose issuer is a path of the server's own.
    """
    host = urlsplit(issuer).netloc
    if host == "token.actions.githubusercontent.com":
        return "https://github.com"
    return f"{urlsplit(issuer).scheme}://{host.removeprefix('token.actions.')}"


@dataclass(frozen=True)
class Refusal:
    """Why a token is not believed. code: for programs; step: how far the token came."""

    step: int
    code: str
    words: str


@dataclass(frozen=True)
class Pusher:
    """A person by their account at GitHub. github_id: its number, which outlives a change of name.
    username: of their account here, whom decisions leave out.
    """

    login: str
    github_id: str
    username: str


@dataclass(frozen=True)
class TrustRule:
    """What a token must say. environment, workflow: "" for any. may: of ABILITIES. models: names of
    the models that the pipeline may act on.
    """

    issuer: str
    audience: str
    repository: str
    repository_id: str
    owner_id: str
    subjects: tuple[str, ...]
    ref: str
    environment: str
    workflow: str
    events: tuple[str, ...]
    may: tuple[str, ...]
    models: tuple[str, ...]
    pushers: tuple[Pusher, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it is kept and digested."""
        return asdict(self) | {
            "subjects": list(self.subjects),
            "events": list(self.events),
            "may": list(self.may),
            "models": list(self.models),
            "pushers": [asdict(one) for one in self.pushers],
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "TrustRule":
        """Return the rule of what as_json gave."""
        many = {name: tuple(body[name]) for name in ("subjects", "events", "may", "models")}
        pushers = tuple(Pusher(**one) for one in body["pushers"])
        return cls(**{**body, **many, "pushers": pushers})

    def pusher(self, claims: Mapping[str, Any]) -> Pusher | None:
        """Return the person whose account at GitHub began the run; None where the rule does not
        name it. The number decides: a name can be given up, and taken by somebody else.
        """
        number = str(claims.get("actor_id", ""))
        return next((one for one in self.pushers if one.github_id == number), None)


def subjects_of(rule: TrustRule) -> tuple[str, str]:
    """Return the subject of a rule's runs in its two forms: without ids, and with them."""
    owner, _, name = rule.repository.partition("/")
    context = (
        f"environment:{_escaped(rule.environment)}"
        if rule.environment
        else f"ref:{_escaped(rule.ref)}"
    )
    return (
        f"repo:{owner}/{name}:{context}",
        f"repo:{owner}@{rule.owner_id}/{name}@{rule.repository_id}:{context}",
    )


def _escaped(value: str) -> str:
    """Return a value as GitHub writes it into a subject: colons would end it."""
    return value.replace(":", "%3A")


# -- What a rule may say ---------------------------------------------------------------------------


def problems(rule: TrustRule) -> list[str]:
    """Return why a rule cannot be in force, in words; nothing where it can."""
    return [
        *_wildcards(rule),
        *_shapes(rule),
        *_subject_problems(rule),
        *_list_problems(rule),
        *_pusher_problems(rule),
    ]


def _wildcards(rule: TrustRule) -> list[str]:
    one = {"repository": rule.repository, "ref": rule.ref, "environment": rule.environment}
    one |= {"workflow": rule.workflow, "audience": rule.audience, "issuer": rule.issuer}
    many = [("subject", value) for value in rule.subjects]
    many += [("model", value) for value in rule.models]
    return [
        f"The {name} {value} has a wildcard. A rule names exact values."
        for name, value in [*one.items(), *many]
        if WILDCARDS & set(value)
    ]


def _shapes(rule: TrustRule) -> list[str]:
    found = []
    if not rule.issuer or not rule.audience:
        found.append("A rule names the issuer and the audience of its tokens.")
    if not REPOSITORY.match(rule.repository):
        found.append("Write the repository as owner/name.")
    if not NUMBER.match(rule.repository_id) or not NUMBER.match(rule.owner_id):
        found.append("Name the numbers of the repository and of its owner, as GitHub's API does.")
    if not REF.match(rule.ref):
        found.append("Write the ref in full, as refs/heads/main or refs/tags/v3.")
    if rule.workflow and not WORKFLOW.match(rule.workflow):
        found.append("Write the workflow as .github/workflows/release.yml.")
    return found


def _subject_problems(rule: TrustRule) -> list[str]:
    if not rule.subjects:
        return ["Without a condition on the subject (sub) a rule lets in other repositories too."]
    fitting = subjects_of(rule)
    found = []
    for subject in rule.subjects:
        if subject.endswith(":pull_request"):
            found.append(f"{subject} is of pull requests, which nobody has merged yet.")
        elif subject not in fitting:
            found.append(f"{subject} is no subject of this repository, ref and environment.")
    if found:
        found.append(f"Its subjects are {fitting[0]} and {fitting[1]}.")
    return found


def _list_problems(rule: TrustRule) -> list[str]:
    found = []
    if not rule.events or set(rule.events) - set(EVENTS):
        found.append(f"Runs may be started by {', '.join(EVENTS)}, and by nothing else.")
    if not rule.may or set(rule.may) - set(ABILITIES):
        found.append(f"A pipeline may {', '.join(ABILITIES)}: name at least one of them.")
    if not rule.models or not all(MODEL.match(name) for name in rule.models):
        found.append("Name the models that it may act on, as they are called in the catalog.")
    return found


def _pusher_problems(rule: TrustRule) -> list[str]:
    found = []
    if not rule.pushers:
        found.append("Name the people whose pushes count: decisions leave them out.")
    for one in rule.pushers:
        if not LOGIN.match(one.login) or not NUMBER.match(one.github_id) or not one.username:
            found.append(
                f"{one.login or 'A person'}: write login, number and user name of one person."
            )
    numbers = [one.github_id for one in rule.pushers]
    if len(set(numbers)) != len(numbers):
        found.append("One account of GitHub belongs to one person: a number is there twice.")
    return found


# -- Whether a token fits --------------------------------------------------------------------------


def refusal(rule: TrustRule, claims: Mapping[str, Any]) -> Refusal | None:
    """Return why a token's claims do not fit a rule; None where they do.

    claims: of a token whose signature, issuer, audience and times are good.
    """
    for step, (holds, code, words) in enumerate(_conditions(rule, claims)):
        if not holds:
            return Refusal(step, code, words)
    return None


def _conditions(rule: TrustRule, claims: Mapping[str, Any]) -> list[tuple[bool, str, str]]:
    """Return each condition in order: whether it holds, and why not."""

    def says(name: str) -> str:
        return str(claims.get(name, ""))

    event = says("event_name")
    is_pull = event.startswith("pull_request") or bool(says("head_ref"))
    is_repository = (says("repository"), says("repository_id"), says("repository_owner_id")) == (
        rule.repository,
        rule.repository_id,
        rule.owner_id,
    )
    workflow = f"{rule.repository}/{rule.workflow}@{rule.ref}"
    environment = says("environment")
    return [
        (
            says("iss").rstrip("/") == rule.issuer and _is_for(claims.get("aud"), rule.audience),
            "wrong_audience",
            f"The rule takes tokens of {rule.issuer} for {rule.audience}.",
        ),
        (
            is_repository,
            "wrong_repository",
            # whoever has any repository at GitHub gets this far, and learns of none of ours
            f"The token is of {says('repository') or 'no repository'}, number "
            f"{says('repository_id') or 'unknown'}, of the owner with the number "
            f"{says('repository_owner_id') or 'unknown'}; no rule here names all of these.",
        ),
        (
            not is_pull,
            "pull_request",
            "The run is of a pull request, whose code nobody has merged: it may come from a fork.",
        ),
        (
            event in rule.events,
            "wrong_event",
            f"The run was started by {event or 'nothing that is named'}; the rule takes "
            f"{', '.join(rule.events)}.",
        ),
        (
            says("ref") == rule.ref,
            "wrong_ref",
            f"The run is of {says('ref') or 'no ref'}; the rule names {rule.ref}.",
        ),
        (
            environment == rule.environment if rule.environment else True,
            "wrong_environment",
            f"The run is in {environment or 'no environment'}; the rule names {rule.environment}.",
        ),
        (
            says("workflow_ref") == workflow if rule.workflow else True,
            "wrong_workflow",
            f"The run is of {says('workflow_ref') or 'no workflow'}; the rule names {workflow}.",
        ),
        (
            says("job_workflow_ref") in ("", workflow) if rule.workflow else True,
            "wrong_workflow",
            f"The job is of {says('job_workflow_ref')}, which its workflow calls; the rule names "
            f"{workflow} alone.",
        ),
        (
            says("sub") in rule.subjects,
            "wrong_subject",
            f"The token's subject is {says('sub')}; the rule names {', '.join(rule.subjects)}.",
        ),
        (
            rule.pusher(claims) is not None,
            "unknown_pusher",
            f"{says('actor') or 'Nobody'} pushed this, and the rule does not say who that is here.",
        ),
    ]


def _is_for(audience: object, wanted: str) -> bool:
    return audience == wanted or (isinstance(audience, list) and wanted in audience)
