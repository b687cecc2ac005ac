"""Asking for a new open-weight model, and deciding about it. An approval registers the model; its
versions are published, verified, evaluated and promoted like any other's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Role, Team, User
from apps.accounts.roles import ASKS_FOR_NEW_MODELS, DECIDES_NEW_MODELS
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.actions import check_name, create_model
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.models import standing_of
from apps.catalog.retirement.words import sentence
from apps.catalog.sizing.fits import Load
from apps.catalog.sizing.shapes import Shape, of_config
from apps.common import decisions
from apps.common.errors import DomainError, require

Status = ModelIntake.Status
DECIDER = "model owner of the team that will own it, or platform engineer"


class CannotAsk(DomainError):
    """The model cannot be asked for as it stands. The text says why."""

    code = "cannot_ask_for_model"


@dataclass(frozen=True)
class Wish:
    """What is asked for; the fields are those of ModelIntake."""

    name: str
    title: str
    description: str
    task: str
    family: str
    license: str
    data_class: str
    source: str
    revision: str
    parameter_count: int
    weight_bytes: int
    config: Mapping[str, Any]
    justification: str


def may_ask(person: User) -> bool:
    """Tell whether this person may ask for a new model."""
    return person.has_role(*ASKS_FOR_NEW_MODELS)


def permit_asking(person: User) -> None:
    """Raise NotPermitted unless this person may ask for a new model."""
    require(may_ask(person), "Only people of teams that use models ask for a new one.")


def shape_of(wish: Wish | ModelIntake) -> Shape:
    """Return the shape that the stated configuration and size have: nobody has the weights yet."""
    found = of_config(wish.config)
    return Shape(**{**vars(found), "weight_bytes": wish.weight_bytes})


def _known_already(model: RegisteredModel, now: datetime) -> str:
    gone = standing_of(model.pk)
    if gone is not None and gone.is_retired:
        return f"{sentence(gone, now)} A new model needs a name of its own."
    return f"A model named {model} is registered already. Ask for access to it."


@transaction.atomic
def request_model(
    *,
    wish: Wish,
    load: Load,
    owner_team: Team,
    requester: User,
    now: datetime,
    estimate: Mapping[str, Any] | None = None,
) -> ModelIntake:
    """Ask for a new model. estimate: what sizing said of it, by whoever knows prices.

    Raises NotPermitted unless the requester uses models; BadName, NameTaken; CannotAsk where the
    configuration names no layers, or another request for the name is open.
    """
    permit_asking(requester)
    check_name(wish.name)
    if known := RegisteredModel.objects.filter(name=wish.name).first():
        raise CannotAsk(_known_already(known, now))
    shape = shape_of(wish)
    if not shape.layers or not shape.architecture:
        raise CannotAsk("config.json names no architecture with its layers, so it says no size.")
    if shape.context and load.context > shape.context:
        raise CannotAsk(
            f"The model takes {shape.context:,} tokens at most, and a request of the expected work "
            f"has {load.context:,}."
        )
    try:
        with transaction.atomic():
            made = ModelIntake.objects.create(
                **{**vars(wish), "config": dict(wish.config)},
                load=vars(load),
                estimate=dict(estimate or {}),
                owner_team=owner_team,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise CannotAsk(f"A request for {wish.name} waits for a decision already.") from None
    data = {
        "license": wish.license,
        "source": wish.source,
        "weight_bytes": wish.weight_bytes,
        "owner_team": str(owner_team),
        "estimate": dict(estimate or {}),
    }
    audit.record(
        action=Action.MODEL_INTAKE_REQUESTED, actor=requester, target=made, now=now, data=data
    )
    return made


def question(request: ModelIntake, person: User) -> decisions.Question:
    """Return who decides about a request, as this person meets it."""
    owns = person.has_role(*DECIDES_NEW_MODELS) and person.team_id == request.owner_team_id
    return decisions.Question(
        request,
        person,
        decider=DECIDER,
        is_decider=owns or person.has_role(Role.PLATFORM_ENGINEER),
    )


@transaction.atomic
def approve_model(
    *, request: ModelIntake, approver: User, reason: str, now: datetime
) -> ModelIntake:
    """Approve a pending request and register the model for the team that will own it.

    Raises NotPermitted unless the approver decides and did not ask; NameTaken; AlreadyDecided.
    """
    asks = question(request, approver)
    decisions.permit(asks)
    pending = ModelIntake.objects.pending()
    if not pending.filter(pk=request.pk).select_for_update().exists():
        raise decisions.AlreadyDecided("This request was decided already.")
    model = create_model(
        name=request.name,
        title=request.title,
        description=request.description,
        task=request.task,
        family=request.family,
        parameter_count=request.parameter_count,
        context_length=shape_of(request).context or request.load["prompt"] + request.load["answer"],
        license=request.license,
        data_class=request.data_class,
        owner_team=request.owner_team,
        actor=approver,
        now=now,
    )
    decisions.decide(asks, status=Status.APPROVED, reason=reason, now=now, registered_model=model)
    data = {"reason": reason, "model": model.name}
    audit.record(
        action=Action.MODEL_INTAKE_APPROVED, actor=approver, target=request, now=now, data=data
    )
    return request


@transaction.atomic
def reject_model(
    *, request: ModelIntake, approver: User, reason: str, now: datetime
) -> ModelIntake:
    """Reject a pending request. Raises NotPermitted as approve_model does, AlreadyDecided."""
    decisions.reject(question(request, approver), reason=reason, now=now)
    audit.record(
        action=Action.MODEL_INTAKE_REJECTED,
        actor=approver,
        target=request,
        now=now,
        data={"reason": reason},
    )
    return request


@transaction.atomic
def withdraw_model(*, request: ModelIntake, actor: User, now: datetime) -> ModelIntake:
    """Take back a pending request. Raises NotPermitted unless actor asked; AlreadyDecided."""
    decisions.withdraw(question(request, actor), now=now)
    audit.record(action=Action.MODEL_INTAKE_WITHDRAWN, actor=actor, target=request, now=now)
    return request
