"""The set of rules that ships: closed by default, and in force until people put another in its
place. Pure.
"""

from apps.catalog.models import DataClass
from apps.gateway.gate.steps import Does
from apps.gateway.guard.rules import Phase, Provider, Rule, RuleSet, Scope

_NOT_FOR_PHI = Scope(data_classes=(DataClass.PUBLIC.value, DataClass.INTERNAL.value))
# an NPI is public: it names who treats, in a directory that anybody may read
_OF_MEMBERS = (
    "US_SSN", "US_MBI", "MEMBER_ID", "CLAIM_ID", "MEDICAL_RECORD_NUMBER", "DATE_OF_BIRTH",
    "CREDIT_CARD",
)  # fmt: skip
_CONTACTS = ("PHONE_NUMBER", "EMAIL_ADDRESS")

SHIPPED = RuleSet(
    (
        Rule(
            name="secrets-in-prompts",
            phase=Phase.REQUEST.value,
            provider=Provider.SECRETS.value,
            action=Does.BLOCK.value,
            message="It holds a credential. Take it out, and change it where it was shared.",
        ),
        Rule(
            name="member-data-without-approval",
            phase=Phase.REQUEST.value,
            provider=Provider.MEMBER_DATA.value,
            action=Does.BLOCK.value,
            detectors=(*_OF_MEMBERS, *_CONTACTS),
            scope=_NOT_FOR_PHI,
            message="It holds member data, and this model or your team's grant is not approved for "
            "PHI. Use a model that is, or take the identifiers out.",
        ),
        Rule(
            name="injected-instructions",
            phase=Phase.REQUEST.value,
            provider=Provider.PROMPT_INJECTION.value,
            action=Does.BLOCK.value,
            threshold=0.6,
            message="A text in it reads like instructions to the model that somebody slipped in. "
            "Take that part out of the document.",
        ),
        Rule(
            name="doubtful-instructions",
            phase=Phase.REQUEST.value,
            provider=Provider.PROMPT_INJECTION.value,
            action=Does.MONITOR.value,
            threshold=0.4,
        ),
        Rule(
            name="secrets-in-answers",
            phase=Phase.ANSWER.value,
            provider=Provider.SECRETS.value,
            action=Does.BLOCK.value,
            message="The answer held a credential.",
        ),
        Rule(
            name="member-data-leak",
            phase=Phase.ANSWER.value,
            provider=Provider.MEMBER_DATA.value,
            action=Does.BLOCK.value,
            detectors=_OF_MEMBERS,
            only_new=True,
            message="The answer held an identifier of a member that was not in the prompt.",
        ),
        Rule(
            name="contacts-in-answers",
            phase=Phase.ANSWER.value,
            provider=Provider.MEMBER_DATA.value,
            action=Does.MONITOR.value,
            detectors=_CONTACTS,
            only_new=True,
        ),
    )
)
