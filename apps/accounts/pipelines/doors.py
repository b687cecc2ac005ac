"""What a pipeline may open, and as whom: the one list of its doors. Everything else is shut to it,
decisions among it, whatever its rule says.
"""

from datetime import datetime

from apps.accounts.models import Role, User
from apps.accounts.pipelines.exchange import PREFIX, digest_of_token
from apps.accounts.pipelines.models import PipelineRule, PipelineRun
from apps.accounts.pipelines.rules import EVALUATE, PROPOSE, PUBLISH
from apps.accounts.tokens import TokenRefused
from apps.common.errors import NotPermitted, require

READ = "read"
DOORS: dict[tuple[str, str], str] = {
    ("GET", "api:me"): READ,
    ("GET", "api:models"): READ,
    ("GET", "api:model"): READ,
    ("GET", "api:versions"): READ,
    ("GET", "api:version"): READ,
    ("POST", "api:versions"): PUBLISH,
    ("POST", "api:version_parts_sign"): PUBLISH,
    ("POST", "api:version_parts_received"): PUBLISH,
    ("POST", "api:version_finish"): PUBLISH,
    ("GET", "api:evaluation_runs"): READ,
    ("GET", "api:evaluation_run"): READ,
    ("POST", "api:evaluation_runs"): EVALUATE,
    ("GET", "api:promotions"): READ,
    ("GET", "api:promotion"): READ,
    ("GET", "api:rollout"): READ,
    ("POST", "api:promotions"): PROPOSE,
}


def is_pipeline_token(token: str) -> bool:
    """Tell whether a bearer token is one that a run got here."""
    return token.startswith(PREFIX)


def account_of(token: str, *, method: str, door: str, now: datetime) -> User:
    """Return whom a run's token lets in at a door, with the rights that its rule gives.

    door: the address's name. Raises TokenRefused where the token is over, or the rule it rests on;
    NotPermitted where the door is shut to it.
    """
    run = (
        PipelineRun.objects.select_related(
            "pipeline_rule__team__cost_center", "account__acts_for", "account__team__cost_center"
        )
        .filter(digest=digest_of_token(token), expires_at__gt=now)
        .first()
    )
    if run is None:
        raise TokenRefused(
            "expired", "The pipeline's token has ended: exchange another one of the run."
        )
    _require_in_force(run)
    may = (READ, *run.pipeline_rule.rule.may)
    need = DOORS.get((method, door))
    if need is None:
        raise NotPermitted("Pipelines may not do this: a person does.")
    require(
        need in may, f"The rule of the pipeline {run.pipeline_rule.name} does not let it {need}."
    )
    return _dressed(run)


def _require_in_force(run: PipelineRun) -> None:
    """Raise TokenRefused where somebody ended the rule or put another one in force, or deactivated
    the person.
    """
    rule, person = run.pipeline_rule, run.account.acts_for
    newer = PipelineRule.objects.filter(name=rule.name, number__gt=rule.number)
    if rule.ended_at is not None or newer.exists():
        raise TokenRefused(
            "rule_changed", f"The rule that let the pipeline {rule.name} in is in force no more."
        )
    if person is None or not person.is_active:
        raise TokenRefused("deactivated", "The person who pushed was deactivated.")


def _dressed(run: PipelineRun) -> User:
    """Return the run's account as an owner of the rule's models, for this request alone."""
    account = run.account
    account.team = run.pipeline_rule.team
    account.remember_roles([Role.MODEL_OWNER])
    account.sign_in = None  # no person is there, so nothing is decided
    account.limited_to = frozenset(run.pipeline_rule.rule.models)
    return account
