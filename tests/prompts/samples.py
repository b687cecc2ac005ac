"""Calls to keep, and what keeps them, for tests."""

import asyncio
import hashlib
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from django.db import connection

from apps.common.envelope import FileWrapper, Sealed, open_sealed, seal
from apps.integrations.postgres import direct
from apps.prompts.capture.keyring import KeyRing
from apps.prompts.capture.keyring import bound_to as key_bound_to
from apps.prompts.capture.link import Link
from apps.prompts.capture.recorder import Kept, Recorder, bound_to
from apps.prompts.capture.writer import Writer
from apps.prompts.holds.actions import LOCK
from apps.prompts.models import DataKey, Outcome, Phase, PromptRecord
from apps.prompts.subjects import SubjectKind, named_subject, team_subject

WRAPPER = FileWrapper.load(os.environ["PROMPT_KEY_FILE"])  # that of the settings
AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
REQUEST, ANSWER = b'{"messages": [{"content": "Jane Roe, MRN 42"}]}', b'{"choices": ["Approved"]}'


def member(name="M-100-42"):
    """Return a member."""
    return named_subject(SubjectKind.MEMBER, name)


def half(phase=Phase.REQUEST, **changes):
    """Return a half of a call: a request that is not answered yet, or its answer."""
    is_request = phase == Phase.REQUEST
    made = Kept(
        call_id=uuid4(), at=AT, team="claims-review", cost_center="CC-1", person="sub-1",
        model="extract", operation="CHAT", subject=None, phase=phase,
        outcome=Outcome.OPEN if is_request else Outcome.ANSWERED, refused_by="", rules="sha256:r",
        findings=(), text=REQUEST if is_request else ANSWER,
    )  # fmt: skip
    return replace(made, **changes)


def both(**changes):
    """Return both halves of a call."""
    request = half(**changes)
    answer = half(Phase.ANSWER, **{"call_id": request.call_id, "at": request.at, **changes})
    return request, answer


@asynccontextmanager
async def recorder(terms=None, wrapper=WRAPPER, **options):
    """Give a recorder at the tests' database, which reads its terms from there unless told."""
    where = partial(direct.address, seconds=2)
    links = [Link(where), Link(where)]
    ring = KeyRing(links[0], wrapper)
    made = Recorder(ring, Writer(links[1]), **options)
    if terms is None:
        await asyncio.to_thread(_in_its_own_connection, made, AT)
    else:
        made._terms = terms
    made.ring, made.links = ring, links
    try:
        yield made
    finally:
        await made.close(seconds=2)
        for link in links:
            await link.close()


def _in_its_own_connection(made, now):
    try:
        made.load(now)
    finally:
        connection.close()


def keep(*halves, **options):
    """Keep halves, one after the other."""

    async def run():
        async with recorder(**options) as made:
            for one in halves:
                await made.keep(one)

    asyncio.run(run())


def stored(subject=None, *, retained_until=None, **changes):
    """Store both halves of a call, as the gate would, in the test's own transaction; return the
    record.
    """
    request, answer = both(subject=subject, **changes)
    whose = subject or team_subject(request.team)
    month = request.at.date().replace(day=1)
    key = DataKey.objects.filter(
        kind=whose.kind, token=whose.token, month=month, destroyed_at=None
    ).first()
    if key is None:
        key_id = uuid4()
        made = WRAPPER.make_key(key_bound_to(key_id))
        key = DataKey.objects.create(
            id=key_id, kind=whose.kind, token=whose.token, secret=whose.secret, month=month,
            wrapped=made.wrapped, wrapped_by=WRAPPER.key_id,
            wrapped_sha256=hashlib.sha256(made.wrapped).hexdigest(), created_at=request.at,
        )  # fmt: skip
    plain = WRAPPER.unwrap(bytes(key.wrapped), key_bound_to(key.pk))
    record = PromptRecord.objects.create(
        id=request.record_id, call_id=request.call_id, at=request.at, team=request.team,
        cost_center=request.cost_center, model=request.model, operation="CHAT", data_class="PHI",
        outcome=answer.outcome, refused_by=answer.refused_by, request_bytes=len(request.text),
        answer_bytes=len(answer.text), data_key=key,
        retained_until=retained_until or request.at + timedelta(days=3650),
    )  # fmt: skip
    for one in (request, answer):
        sealed = seal(plain, one.text, bound=bound_to(record.pk, record.call_id, one.phase))
        record.texts.create(
            phase=one.phase, data_key=key, nonce=sealed.nonce, ciphertext=sealed.ciphertext,
            size_bytes=len(one.text),
        )  # fmt: skip
    return record


def opened(text):
    """Return a text that lies in the database in plain, as only the reader does."""
    key, record = text.data_key, text.record
    plain = WRAPPER.unwrap(bytes(key.wrapped), key_bound_to(key.pk))
    sealed = Sealed(bytes(text.nonce), bytes(text.ciphertext))
    return open_sealed(plain, sealed, bound=bound_to(record.pk, record.call_id, text.phase))


def others_wait():
    """Tell whether somebody else who removes, erases or holds would wait for this transaction."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            return not cursor.fetchone()[0]
    finally:
        other.close()
