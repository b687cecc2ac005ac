"""Writes what the observer saw. Each function may be called again with the same: the second time
changes nothing.

A cluster's state is not ours, so these writes make no audit events: the rows are the record. The
observer is the only writer, and one at a time (worker/processes/observer.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.fleet import sightings
from apps.fleet.models import (
    ClusterEvent,
    Node,
    NodeClaim,
    NodeInterval,
    NodePool,
    Observation,
    Replica,
    ReplicaPhase,
)
from apps.fleet.sightings import Seen, SeenEvent, Terms

AT_ONCE = 500  # rows a statement
TOLD_FOR = timedelta(hours=2)  # the API server keeps events for one
ROUNDED = timedelta(seconds=1)  # the API cuts times to seconds
Tracked = type[NodePool] | type[NodeClaim] | type[Node] | type[Replica]
Row = NodePool | NodeClaim | Node | Replica


@dataclass(frozen=True)
class Sight:
    """How far one feed was seen: until when (None: never), and why not further. heard_at: its last
    message.
    """

    seen_at: datetime | None
    error: str = ""
    heard_at: datetime | None = None


@transaction.atomic
def record_seen(*, model: Tracked, seen: Sequence[Seen], now: datetime) -> None:
    """Write what objects say now: new rows, changed columns, reached phases, intervals. One query
    if nothing is new.
    """
    known: dict[str, Row] = {
        row.uid: row for row in model.objects.filter(uid__in=[item.uid for item in seen])
    }
    touched = {item.uid: item for item in seen if item.uid not in known}
    _create(model, list(touched.values()), now)
    touched |= {
        item.uid: item for item in seen if item.uid in known and _update(known[item.uid], item)
    }
    if model is NodeClaim and touched:
        _record_intervals(list(touched), now)
        _relate_claims([item.name for item in touched.values()], now)
    if model is Replica and touched:
        _record_phases(list(touched.values()), now)
        _relate_replicas(touched, now)


@transaction.atomic
def record_listed(
    *,
    model: Tracked,
    seen: Sequence[Seen],
    scope: Mapping[str, Any],
    seen_until: datetime,
    now: datetime,
) -> None:
    """Write a whole list: what it holds, and that everything else of the scope is gone.

    seen_until: until when the scope was watched before this list.
    """
    record_seen(model=model, seen=seen, now=now)
    missing = model.objects.present().filter(**scope).exclude(uid__in=[item.uid for item in seen])
    _end(model, list(missing), seen_until, now)


@transaction.atomic
def record_gone(*, model: Tracked, seen: Seen, seen_until: datetime, now: datetime) -> None:
    """Write an object's last state and that it is gone."""
    record_seen(model=model, seen=[seen], now=now)
    _end(model, list(model.objects.present().filter(uid=seen.uid)), seen_until, now)


@transaction.atomic
def record_events(*, events: Sequence[SeenEvent], now: datetime) -> None:
    """Keep events, counted up where they are said again, and let rows say what follows from
    them.
    """
    newest = {note.uid: note for note in sorted(events, key=_age)}
    known = {row.uid: _age(row) for row in ClusterEvent.objects.filter(uid__in=newest)}
    fresh = [note for uid, note in newest.items() if uid not in known or known[uid] < _age(note)]
    new = [ClusterEvent(**asdict(note), learned_at=now) for note in fresh if note.uid not in known]
    ClusterEvent.objects.bulk_create(new, batch_size=AT_ONCE)
    for note in fresh:
        if note.uid in known:
            ClusterEvent.objects.filter(uid=note.uid).update(**asdict(note))
    if fresh:
        claims = {sightings.promised_claim(note) for note in fresh} | {
            note.object_name for note in fresh if note.object_kind == "NodeClaim"
        }
        _relate_claims(claims - {""}, now)
        _relate_replicas({note.object_uid for note in fresh if note.object_kind == "Pod"}, now)


@transaction.atomic
def record_observations(*, sights: Mapping[str, Sight]) -> None:
    """Write how far each feed has been seen. One query."""
    rows = [
        Observation(
            feed=feed, seen_at=sight.seen_at, heard_at=sight.heard_at, error=sight.error[:300]
        )
        for feed, sight in sights.items()
    ]
    Observation.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["feed"],
        update_fields=["seen_at", "heard_at", "error"],
    )


@transaction.atomic
def record_never_listed(*, listed_at: datetime, now: datetime) -> int:
    """Write the claims of which only events tell: launched, and gone again before anybody listed;
    return how many.

    listed_at: when all claims were listed last; the caller has written everything since. What the
    machine was and cost no event says: its interval is unobserved, without a price. Two queries
    where there is none.
    """
    told = ClusterEvent.objects.filter(
        object_kind="NodeClaim", last_at__gte=now - TOLD_FOR, last_at__lt=listed_at
    )
    strange = told.exclude(object_uid="").exclude(object_uid__in=NodeClaim.objects.values("uid"))
    events: dict[str, list[SeenEvent]] = {}
    for note in map(sightings.told, strange.order_by("last_at")):
        events.setdefault(note.object_uid, []).append(note)
    claims: list[NodeClaim] = []
    spans: list[NodeInterval] = []
    for uid, notes in events.items():
        launched = sightings.launched_at(notes)
        if launched is None:
            continue
        end = sightings.ending(
            notes, began_at=launched, seen_until=launched, now=max(launched, listed_at)
        )
        begun = min(launched, *(note.first_at for note in notes))
        claim = NodeClaim(
            uid=uid, name=notes[0].object_name, created_at=begun, learned_at=now,
            launched_at=launched,
            ended_at=end.at, end_observed=False, end_reason=sightings.end_reason(notes),
        )  # fmt: skip
        claims.append(claim)
        spans.append(
            NodeInterval(node_claim=claim, started_at=launched, ended_at=end.at, observed=False)
        )
    NodeClaim.objects.bulk_create(claims, batch_size=AT_ONCE)
    NodeInterval.objects.bulk_create(spans, batch_size=AT_ONCE)
    _relate_claims([claim.name for claim in claims], now)
    return len(claims)


def prune_events(*, before: datetime) -> int:
    """Forget the events that were last said before a time; return how many."""
    return ClusterEvent.objects.filter(last_at__lt=before).delete()[0]


def _create(model: Tracked, items: Sequence[Seen], now: datetime) -> None:
    # one present per name: another object of this name can only be gone
    if model in (Node, NodePool):
        created = {item.name: item.created_at for item in items}
        for other in model.objects.present().filter(name__in=created):
            _end(model, [other], created[other.name], now)
    rows = [
        model(
            uid=item.uid,
            name=item.name,
            resource_version=item.version,
            created_at=item.created_at,
            learned_at=now,
            **{name: value for name, value in item.fields.items() if value is not None},
        )
        for item in items
    ]
    model.objects.bulk_create(rows, batch_size=AT_ONCE)  # type: ignore[arg-type]


def _update(row: Row, item: Seen) -> bool:
    """Write what a reading changes; tell whether that was anything."""
    changed = sightings.changes(vars(row), item)
    if changed:
        for name, value in {**changed, "resource_version": item.version}.items():
            setattr(row, name, value)
        row.save(update_fields=[*changed, "resource_version"])
    return bool(changed)


def _record_intervals(uids: Sequence[str], now: datetime) -> None:
    begun: list[NodeInterval] = []
    for claim in NodeClaim.objects.present().filter(uid__in=uids).prefetch_related("intervals"):
        spans = list(claim.intervals.all())
        current = next((span for span in spans if span.ended_at is None), None)
        terms = sightings.terms_of(vars(current)) if current is not None else None
        for change in sightings.plan_interval(
            terms, has_history=bool(spans), claim=vars(claim), now=now
        ):
            if change.begin_at is not None:
                reason = "Other terms" if spans else claim.launch_reason
                fields = asdict(change.terms) | {
                    "started_at": change.begin_at,
                    "launch_reason": reason,
                }
                begun.append(NodeInterval(node_claim=claim, **fields))
            elif current is not None:
                _change_interval(current, change)
    NodeInterval.objects.bulk_create(begun, batch_size=AT_ONCE)


def _change_interval(span: NodeInterval, change: sightings.IntervalChange) -> None:
    """Close an open interval, or complete its terms."""
    if change.end_at is not None:
        span.ended_at, span.end_reason = max(change.end_at, span.started_at), "Other terms"
        span.save(update_fields=["ended_at", "end_reason"])
    else:
        terms: Terms = sightings.completed(sightings.terms_of(vars(span)), change.terms)
        NodeInterval.objects.filter(pk=span.pk).update(**asdict(terms))


def _record_phases(seen: Iterable[Seen], now: datetime) -> None:
    reached = {(item.uid, phase): at for item in seen for phase, at in item.phases}
    known = ReplicaPhase.objects.filter(replica__uid__in={uid for uid, _ in reached})
    for uid, phase in known.values_list("replica__uid", "phase"):
        reached.pop((uid, phase), None)
    if not reached:
        return
    keys = dict(
        Replica.objects.filter(uid__in={uid for uid, _ in reached}).values_list("uid", "pk")
    )
    ReplicaPhase.objects.bulk_create(
        [
            ReplicaPhase(replica_id=keys[uid], phase=phase, occurred_at=at, learned_at=now)
            for (uid, phase), at in reached.items()
        ],
        ignore_conflicts=True,
        batch_size=AT_ONCE,
    )


def _end(model: Tracked, rows: Sequence[Row], seen_until: datetime, now: datetime) -> None:
    """Write that objects are gone, and close what they left open. A few queries, however many there
    are.
    """
    if not rows:
        return
    told, ends, alike = (
        _events_of(rows),
        dict[int, sightings.Ending](),
        dict[tuple[tuple[str, Any], ...], list[int]](),
    )
    for row in rows:
        end = ends[row.pk] = sightings.ending(
            told[row.pk], began_at=row.created_at, seen_until=seen_until, now=now
        )
        values: dict[str, Any] = {"ended_at": end.at, "end_observed": end.unobserved_from is None}
        if isinstance(row, NodeClaim):
            before = [note for note in told[row.pk] if note.first_at <= end.at]
            row.end_reason = values["end_reason"] = sightings.end_reason(before) or row.end_reason
            if row.launched_at is None and (launched := sightings.launched_at(before)) is not None:
                row.launched_at = values["launched_at"] = launched
        if isinstance(row, Replica):
            values |= {"end_reason": sightings.replica_end_reason(told[row.pk]), "is_ready": False}
        alike.setdefault(tuple(values.items()), []).append(row.pk)
    for same, keys in alike.items():  # what goes at once mostly ends alike
        model.objects.filter(pk__in=keys).update(**dict(same))
    _close_intervals({row.pk: row for row in rows if isinstance(row, NodeClaim)}, ends)


def _close_intervals(claims: Mapping[int, NodeClaim], ends: Mapping[int, sightings.Ending]) -> None:
    """Close what claims left open, and give those that nobody saw launched their interval. A few
    queries.
    """
    known: dict[int, list[NodeInterval]] = {key: [] for key in claims}
    for span in NodeInterval.objects.filter(node_claim__in=claims) if claims else []:
        known[span.node_claim_id].append(span)
    changed: list[NodeInterval] = []
    new: list[NodeInterval] = []
    late: list[int] = []
    for key, spans in known.items():
        if not spans:
            new += _unseen_interval(claims[key], ends[key])
        elif spans[-1].ended_at is None:
            kept, gap = _cut(spans, claims[key], ends[key])
            late += [span.pk for span in spans if span not in kept]
            changed += kept[-1:]
            new += [gap] if gap is not None else []
    if late:
        NodeInterval.objects.filter(pk__in=late).delete()
    NodeInterval.objects.bulk_update(
        changed, ["ended_at", "end_reason", "observed"], batch_size=AT_ONCE
    )
    NodeInterval.objects.bulk_create(new, batch_size=AT_ONCE)


def _cut(
    spans: list[NodeInterval], claim: NodeClaim, end: sightings.Ending
) -> tuple[list[NodeInterval], NodeInterval | None]:
    """End a claim's intervals where it was last seen; return those that stay, and the time after it
    that nobody saw.

    Terms that were learned after that moment belong to that time.
    """
    cut = end.unobserved_from or end.at
    kept = [span for place, span in enumerate(spans) if place == 0 or span.started_at < cut]
    last = kept[-1]
    last.ended_at, last.end_reason = max(last.started_at, cut), claim.end_reason
    if end.unobserved_from is None or last.ended_at >= end.at:
        return kept, None
    if last.ended_at == last.started_at:  # it was launched in that time
        last.ended_at, last.observed = end.at, False
        return kept, None
    fields = asdict(sightings.terms_of(vars(spans[-1]))) | {
        "started_at": last.ended_at,
        "ended_at": end.at,
    }
    return kept, NodeInterval(
        node_claim=claim, observed=False, end_reason=claim.end_reason, **fields
    )


def _unseen_interval(claim: NodeClaim, end: sightings.Ending) -> list[NodeInterval]:
    """Return the interval of a claim that nobody saw launched: from its launch where an event tells
    it, else dark.

    None where its end was seen, and where no machine could be bought: then there was nothing to
    pay.
    """
    dark = end.unobserved_from or end.told_since
    if claim.launched_at is None and (dark is None or claim.end_reason == sightings.NOT_BOUGHT):
        return []
    began = min(end.at, claim.launched_at or dark or end.at)
    fields = asdict(sightings.terms_of(vars(claim))) | {"started_at": began, "ended_at": end.at}
    reasons = {"launch_reason": claim.launch_reason, "end_reason": claim.end_reason}
    is_seen = claim.launched_at is not None and end.unobserved_from is None
    return [NodeInterval(node_claim=claim, observed=is_seen, **reasons, **fields)]


def _relate_claims(names: Iterable[str], now: datetime) -> None:
    """Let claims say why they were launched and why they ended, and give their replicas the phases
    of the node.

    A few queries, however many claims there are.
    """
    claims = list(NodeClaim.objects.filter(name__in=set(names)))
    if not claims:
        return
    told = _events_of(claims)
    promises = _promises(claims)
    for claim in claims:
        _explain_claim(claim, told[claim.pk], promises.get(claim.name, []))
    by_node = {
        claim.node_name: claim for claim in claims if claim.ended_at is None and claim.node_name
    }
    waited = Replica.objects.present().filter(node_name__in=by_node)
    _add_phases(
        {
            row: sightings.node_phases(row.created_at, vars(by_node[row.node_name]))
            for row in waited
        },
        now,
    )


def _explain_claim(claim: NodeClaim, events: list[SeenEvent], promises: list[SeenEvent]) -> None:
    launched = claim.launch_reason or sightings.launch_reason(claim.name, [*events, *promises])
    ended = sightings.end_reason(events) or claim.end_reason
    if (launched, ended) != (claim.launch_reason, claim.end_reason):
        claim.launch_reason, claim.end_reason = launched, ended
        claim.save(update_fields=["launch_reason", "end_reason"])
        claim.intervals.filter(launch_reason="", observed=True).update(launch_reason=launched)
        claim.intervals.filter(ended_at=claim.ended_at, ended_at__isnull=False).update(
            end_reason=ended
        )
    if claim.ended_at is not None and not claim.end_observed:
        _rebuild_end(claim, events)


def _rebuild_end(claim: NodeClaim, events: list[SeenEvent]) -> None:
    """Put an unobserved end right once an event tells it, and a launch that nobody saw."""
    gap = claim.intervals.filter(observed=False).last()
    if gap is None or claim.ended_at is None:
        return
    end = sightings.ending(
        events, began_at=claim.created_at, seen_until=gap.started_at, now=claim.ended_at
    )
    is_told = end.unobserved_from is None
    before = claim.intervals.filter(ended_at=gap.started_at, observed=True).last()
    if before is not None and is_told:
        gap.delete()
        before.ended_at = max(end.at, before.started_at)
        before.save(update_fields=["ended_at"])
    elif before is None:
        claim.launched_at = claim.launched_at or sightings.launched_at(events)
        gap.delete()
        ends = end if is_told else sightings.Ending(claim.ended_at, unobserved_from=gap.started_at)
        NodeInterval.objects.bulk_create(_unseen_interval(claim, ends))
    if is_told:
        claim.ended_at, claim.end_observed = end.at, True
    claim.save(update_fields=["ended_at", "end_observed", "launched_at"])


def _relate_replicas(uids: Iterable[str], now: datetime) -> None:
    """Give replicas what other objects tell about them: the promised node, its phases, the engine's
    image.
    """
    replicas = list(
        Replica.objects.present().filter(uid__in=set(uids), ready_at__isnull=True)
    ) + list(
        Replica.objects.present()
        .filter(uid__in=set(uids), ready_at__isnull=False)
        .exclude(phases__phase="IMAGE")
    )
    if not replicas:
        return
    notes: dict[str, list[SeenEvent]] = {}
    about = ClusterEvent.objects.filter(
        object_kind="Pod", object_uid__in=[row.uid for row in replicas]
    )
    for note in map(sightings.told, about.order_by("last_at")):
        notes.setdefault(note.object_uid, []).append(note)
    promised = {
        uid: next((name for name in map(sightings.promised_claim, reversed(events)) if name), "")
        for uid, events in notes.items()
    }
    names = [*promised.values(), *(row.node_claim_name for row in replicas)]
    nodes = [row.node_name for row in replicas if row.node_name]
    claims = list(NodeClaim.objects.filter(Q(node_name__in=nodes) | Q(name__in=names)))
    by_node = {claim.node_name: claim for claim in claims}
    by_name = {claim.name: claim for claim in claims}
    phases: dict[Replica, list[tuple[str, datetime]]] = {}
    renamed: list[Replica] = []
    for replica in replicas:
        name = promised.get(replica.uid) or replica.node_claim_name
        claim = by_node.get(replica.node_name) if replica.node_name else by_name.get(name)
        name = claim.name if claim is not None else name
        if name and name != replica.node_claim_name:
            replica.node_claim_name = name
            renamed.append(replica)
        phases[replica] = _told_phases(replica, claim, notes.get(replica.uid, []))
    Replica.objects.bulk_update(renamed, ["node_claim_name"], batch_size=AT_ONCE)
    _add_phases(phases, now)


def _told_phases(
    replica: Replica, claim: NodeClaim | None, events: list[SeenEvent]
) -> list[tuple[str, datetime]]:
    """Return the phases of a replica that its claim and its events tell."""
    phases = sightings.node_phases(replica.created_at, vars(claim)) if claim is not None else []
    pulled = sightings.image_pulled_at(events)
    return [*phases, *([("IMAGE", pulled)] if pulled else [])]


def _add_phases(phases: Mapping[Replica, Sequence[tuple[str, datetime]]], now: datetime) -> None:
    rows = [
        ReplicaPhase(replica=replica, phase=phase, occurred_at=at, learned_at=now)
        for replica, found in phases.items()
        for phase, at in found
    ]
    ReplicaPhase.objects.bulk_create(rows, ignore_conflicts=True, batch_size=AT_ONCE)


def _events_of(rows: Sequence[Row]) -> dict[int, list[SeenEvent]]:
    """Return row → the events about it, for a claim about its node too, oldest first. rows: of one
    kind. One query.

    A node's name comes back, as private addresses do: what was said before or after it is about
    another one.
    """
    names = {
        row.pk: {row.name} | ({row.node_name} if isinstance(row, NodeClaim) else set()) - {""}
        for row in rows
    }
    kind = type(rows[0]).__name__.replace("Replica", "Pod")
    kinds = ["NodeClaim", "Node"] if kind == "NodeClaim" else [kind]
    about: dict[str, list[SeenEvent]] = {}
    found = ClusterEvent.objects.filter(
        object_kind__in=kinds, object_name__in=set().union(*names.values())
    )
    for note in map(sightings.told, found.order_by("last_at")):
        about.setdefault(note.object_name, []).append(note)
    return {
        row.pk: sorted(
            (
                note
                for name in names[row.pk]
                for note in about.get(name, [])
                if _is_about(note, row)
            ),
            key=lambda note: note.last_at,
        )
        for row in rows
    }


def _is_about(note: SeenEvent, row: Row) -> bool:
    if note.object_kind != "Node":
        return True
    return row.created_at - ROUNDED <= note.last_at and (
        row.ended_at is None or note.first_at <= row.ended_at
    )


def _promises(claims: Sequence[NodeClaim]) -> dict[str, list[SeenEvent]]:
    """Return claim → the events in which Karpenter promised it to a pod; one query."""
    times = [claim.created_at for claim in claims if not claim.launch_reason]
    if not times:
        return {}
    around = (min(times) - sightings.PROMISED_WITHIN, max(times) + sightings.PROMISED_WITHIN)
    found = ClusterEvent.objects.filter(
        last_at__range=around, object_kind="Pod", reason="Nominated"
    )
    promises: dict[str, list[SeenEvent]] = {}
    for note in map(sightings.told, found.order_by("last_at")):
        promises.setdefault(sightings.promised_claim(note), []).append(note)
    return promises


def _age(note: SeenEvent | ClusterEvent) -> tuple[datetime, int]:
    return note.last_at, note.count
