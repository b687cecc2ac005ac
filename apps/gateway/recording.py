"""The gate's step that keeps what was sent and answered: its words become those of the prompt
record (apps/prompts), which decides what is kept and does it.
"""

from dataclasses import replace
from datetime import datetime
from functools import partial

from apps.gateway.gate.answers import Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Away, Finding, Verdict
from apps.integrations.postgres import direct
from apps.integrations.wrappers import prompt_wrapper
from apps.metering.gate.counts import Basis
from apps.prompts.capture import link
from apps.prompts.capture.keyring import KeyRing
from apps.prompts.capture.recorder import Kept, Recorder
from apps.prompts.capture.writer import Writer
from apps.prompts.models import Outcome, Phase


class PromptRecording:
    """Keeps both halves of calls. Make it in the event loop of the gate."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @classmethod
    def from_settings(cls) -> "PromptRecording":
        """Return the step with the database and the key service that the settings name; neither is
        asked yet. Raises ValueError where no key that wraps is named.
        """
        address = partial(direct.address, seconds=link.SECONDS)
        ring = KeyRing(link.Link(address), prompt_wrapper())
        return cls(Recorder(ring, Writer(link.Link(address))))

    def load(self, now: datetime) -> None:
        """Read what is kept and for how long; write down what was lost."""
        self._recorder.load(now)

    async def request(self, call: Call, verdict: Verdict, refusal: Refusal | None) -> None:
        """Keep a request. Raises Away where it must be kept and is not."""
        outcome = Outcome.REFUSED if refusal else Outcome.OPEN
        kept = _kept(call, verdict, refusal, outcome)
        await self._keep(replace(kept, phase=Phase.REQUEST, text=call.body))

    async def answer(
        self, call: Call, body: bytes, verdict: Verdict, refusal: Refusal | None, used: Used
    ) -> None:
        """Keep what the caller got. Raises Away where it must be kept and is not."""
        kept = _kept(call, verdict, refusal, _outcome(refusal, used))
        await self._keep(replace(kept, phase=Phase.ANSWER, text=body))

    async def close(self) -> None:
        """Write what still waits."""
        await self._recorder.close()

    async def _keep(self, kept: Kept) -> None:
        try:
            await self._recorder.keep(kept)
        except link.Away as error:
            raise Away(str(error)) from error


def _outcome(refusal: Refusal | None, used: Used) -> Outcome:
    if refusal:
        return Outcome.CUT
    return Outcome.UNSERVED if used.basis == Basis.NOTHING else Outcome.ANSWERED


def _kept(call: Call, verdict: Verdict, refusal: Refusal | None, outcome: Outcome) -> Kept:
    """Return a call without its text."""
    return Kept(
        call_id=call.id,
        at=call.at,
        team=call.caller.team,
        cost_center=call.caller.cost_center,
        person=call.caller.subject,
        model=call.model,
        operation=call.operation,
        subject=call.subject,
        phase=Phase.REQUEST,
        outcome=outcome,
        refused_by=refusal.code if refusal else "",
        rules=verdict.rules,
        findings=[_finding(one) for one in verdict.findings],
        text=b"",
    )


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "rule": finding.rule,
        "detector": finding.detector,
        "does": finding.does.value,
        "phase": finding.phase,
        "where": finding.where,
    }
