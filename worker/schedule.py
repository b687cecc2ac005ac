"""Every periodic task, with why this interval and what is late if it stops."""

from typing import Any

from celery.schedules import crontab

from apps.common.tasks import HINT_SECONDS

_HOUR = 3600.0


def _lasts(schedule: float | crontab) -> float:
    """Return for how many seconds a message may wait for a worker: until the next one comes, an
    hour where that is at a time of day, and never less than clocks may be apart.
    """
    return max(HINT_SECONDS, schedule if isinstance(schedule, float) else _HOUR)


PERIODIC: dict[str, dict[str, Any]] = {
    # Removes sessions that ended. If it stops, nobody notices: they are refused anyway, only the
    # table grows.
    "clear-sessions": {
        "task": "accounts.clear_sessions",
        "schedule": crontab(hour=3, minute=10),
    },
    # Asks for a look at roles that are due in two weeks. If it stops, nobody looks at them in time,
    # and the due list says less than is due.
    "open-role-reviews": {
        "task": "accounts.open_role_reviews",
        "schedule": crontab(minute=40),
    },
    # Reads at night what came to the record, and a seventh of what is older. If it stops, a record
    # that was rewritten is noticed only where it no longer continues its last checkpoint.
    "verify-record": {
        "task": "audit.verify_record",
        "schedule": crontab(hour=2, minute=20),
    },
    # Sends what a lost hint left, and what is to be tried again. If it stops, people are told in
    # the bell only.
    "send-due-notices": {
        "task": "notices.send_due",
        "schedule": 15.0,
    },
    # Tells people of what waits for them, what became of what they asked for, and what failed. If
    # it stops, they see it on their home page only.
    "tell-people": {
        "task": "notices.tell_people",
        "schedule": 10.0,
    },
    # Writes the day's digests once their hour has come; what it missed, it writes the next time.
    "make-digests": {
        "task": "notices.make_digests",
        "schedule": 300.0,
    },
    # Forgets what people were told longer ago than notices are kept. If it stops, nobody notices;
    # only the table grows.
    "forget-notices": {
        "task": "notices.forget_notices",
        "schedule": 3600.0,
    },
    # Looks at candidates that start, go on, or have to go. If it stops, runs stand still and
    # candidates keep a GPU.
    "reconcile-due-eval-runs": {
        "task": "evals.reconcile_due_eval_runs",
        "schedule": 3.0,
    },
    # Finds approved capacity changes whose hint was lost, or that are under way. If it stops, pools
    # stay as they are.
    "reconcile-due-capacity": {
        "task": "capacity.reconcile_due_capacity_requests",
        "schedule": 3.0,
    },
    # Reads the pools' files in Git. If it stops, a change that somebody made there by hand is
    # noticed late: a request made meanwhile is refused at its commit instead of at its approval.
    "find-pools": {"task": "capacity.find_pools", "schedule": 30.0},
    # Whoever asks for sizing starts the work at once; this one finds what that hint missed. If it
    # stops, a page goes on saying that the speed is being worked out.
    "work-out-due-figures": {
        "task": "catalog.work_out_due_figures",
        "schedule": 30.0,
    },
    # Ingest asks for a roll-up at once; this one finds what that hint missed. If it stops,
    # chargeback lags.
    "roll-up-dirty-hours": {
        "task": "metering.roll_up_dirty_hours",
        "schedule": 60.0,
    },
    # Measures what callers of each version met. If it stops, the catalog goes on saying until when
    # its figures hold, and after a week shows those of evaluations.
    "measure-versions": {
        "task": "metering.measure_versions",
        "schedule": 600.0,
    },
    # Engines' minutes are kept for days, the hours made of them for good. If it stops for a day,
    # what aborted calls of that day used is never estimated.
    "record-engine-hours": {
        "task": "metering.record_engine_hours",
        "schedule": 300.0,
    },
    # Counts what named a team, model or version that was not known yet. If it stops, such calls
    # wait in quarantine until somebody tries them again.
    "replay-waiting-usage": {
        "task": "metering.replay_waiting",
        "schedule": 300.0,
    },
    # Lets in the calls of which no line of the access log came, an hour before their hour is
    # sealed. If it stops, they are let in when it runs again, and are noted as late.
    "let-in-missing": {
        "task": "metering.let_in_missing",
        "schedule": 300.0,
    },
    # Tells of grants that end in 30, 7 and 1 days, once each: by day, when people read it. If it
    # stops, teams learn of an end from refused calls.
    "tell-ends": {
        "task": "access.tell_ends",
        "schedule": crontab(hour="6,12,18", minute=5),
    },
    # Retires models whose last day is over once nobody calls them. If it stops, they stay, and keep
    # their GPUs.
    "retire-due-models": {
        "task": "metering.retire_due",
        "schedule": 300.0,
    },
    # Ends what is granted of models that are gone, where the hint was lost. If it stops, their
    # teams can go on calling them.
    "end-grants-of-retired": {
        "task": "access.end_grants_of_retired",
        "schedule": 300.0,
    },
    # Takes what serves of models that are gone out of the cluster. If it stops, they keep GPUs.
    "stop-retired": {
        "task": "promotions.stop_retired",
        "schedule": 300.0,
    },
    # Tells owners of the grants that they are to keep or end. If it stops, they find them on the
    # page of recertification only.
    "tell-looks": {
        "task": "access.tell_looks",
        "schedule": crontab(hour="6,12,18", minute=10),
    },
    # Makes tomorrow's table of calls. If it stops, the first batch of each day makes it itself.
    "make-usage-days": {
        "task": "metering.make_days",
        "schedule": crontab(minute=40),
    },
    # Takes spans away that are older than a day. If it stops, they take room; for seven hours
    # nothing else happens, and then the oldest lie among new ones until these go too.
    "drop-old-spans": {
        "task": "traces.drop_old_spans",
        "schedule": crontab(minute=20),
    },
    # Forgets the five minutes that no burn rate looks back to. If it stops, only their table grows.
    "forget-steps": {
        "task": "metering.forget_steps",
        "schedule": crontab(minute=50),
    },
    # An hour is sealed some hours after its end. If it stops, pages say that less is sealed than
    # could be, and no month can be closed.
    "seal-hours": {
        "task": "metering.seal_hours",
        "schedule": 300.0,
    },
    # At night, for it reads whole days; more than once, for a pass ends after some minutes and the
    # next one goes on. If it stops, an id that came under two days counts twice, and old days stay
    # out of the archive.
    "find-doubles": {
        "task": "metering.find_doubles",
        "schedule": crontab(hour="1-4", minute="*/15"),
        "options": {"expires": 900},
    },
    # Looks for ids of days that changed in the archive, at night and after the search among stored
    # days. If it stops, a call that comes twice over months counts twice, and days that changed are
    # kept out of the archive.
    "search-archive": {
        "task": "metering.search_archive",
        "schedule": crontab(hour="1-5", minute="10-59/15"),
        "options": {"expires": 900},
    },
    # Moves old days of calls into the archive, and brings days back that late calls wait for. If it
    # stops, the database grows, and late calls wait in quarantine.
    "archive-days": {
        "task": "metering.archive_days",
        "schedule": 60.0,
    },
    # Moves prompts to S3 once enough of one end wait, or for ten minutes, and removes objects whose
    # time is over. If it stops, ciphertext stays in the database, which grows.
    "move-prompts": {
        "task": "prompts.move_to_s3",
        "schedule": 60.0,
    },
    # Removes prompts from the database whose time is over: their ends are ends of days; and keys of
    # past months under which none is left. If it stops, they are kept longer than was decided.
    "remove-prompts": {
        "task": "prompts.remove_expired",
        "schedule": 900.0,
    },
    # Finds expired grants and lost hints. If it stops, a team keeps access for as long as it is
    # stopped.
    "reconcile-due-policies": {
        "task": "gateway.reconcile_due_policies",
        "schedule": 10.0,
    },
    # Gives back what calls hold whose gate died: four minutes after, as long as a lease lasts. If
    # it stops, budgets have less left than they should.
    "give-back-expired": {
        "task": "gateway.give_back_expired",
        "schedule": 10.0,
    },
    # Brings into the gate's counters what the ledger alone knows. If it stops, what came to be
    # known by then is not refused, and a month that begins has no counter after a day.
    "keep-counters": {
        "task": "gateway.keep_counters",
        "schedule": 30.0,
    },
    # Deletes settled calls that count nowhere any more. If it stops, only their table grows.
    "forget-settled": {
        "task": "gateway.forget_settled",
        "schedule": crontab(minute=25),
    },
    # Reads back what the gateway does: a few requests, each of everything. If it stops, the page
    # Gateway says of which time its readings are, and drift is seen late.
    "look-at-gateway": {
        "task": "gateway.look",
        "schedule": 60.0,
    },
    # A moving rollout is looked at every 2 s so that its page is live. If it stops, rollouts stand
    # still.
    "reconcile-due-rollouts": {
        "task": "promotions.reconcile_due_rollouts",
        "schedule": 2.0,
    },
    # Looks at open changes in ServiceNow, as often as settings say. If it stops, what was read of
    # them is believed for some minutes, then no rollout starts.
    "reconcile-due-changes": {
        "task": "promotions.reconcile_due_changes",
        "schedule": 3.0,
    },
    # Starts approved rollouts whose freeze window ended or whose change is open by now, and ends
    # promotions whose approval became too old. If it stops, what was not free to start when it was
    # approved never starts.
    "start-approved-promotions": {
        "task": "promotions.start_approved_promotions",
        "schedule": 10.0,
    },
    # Tells once of an emergency whose review is overdue. If it stops, only the banner and the home
    # pages say so.
    "tell-overdue-emergencies": {
        "task": "promotions.tell_overdue_emergencies",
        "schedule": 300.0,
    },
    # Works out how objectives stand. If it stops, pages say of which time their figures are, and no
    # incident begins or ends by them.
    "measure-objectives": {
        "task": "slo.measure",
        "schedule": 60.0,
    },
    # Holds incidents against what the rollouts say. If it stops, an incident begins and ends late
    # here and in ServiceNow.
    "watch-rollouts": {
        "task": "incidents.watch_rollouts",
        "schedule": 10.0,
    },
    # Finds incidents whose hint was lost or whose retry is due. If it stops, ServiceNow is told
    # late.
    "reconcile-due-episodes": {
        "task": "incidents.reconcile_due_episodes",
        "schedule": 10.0,
    },
    # Asks AWS for the prices that are due, where it is to be asked. If it stops, machines whose
    # price only AWS tells have none, and their time is in no amount until it is known.
    "fetch-prices": {
        "task": "fleet.fetch_prices",
        "schedule": 300.0,
    },
    # The roll-up and a published price ask for it at once; this one finds what those hints missed.
    # If it stops, pages of money say how many days are not priced yet.
    "price-due-days": {
        "task": "chargeback.price_due_days",
        "schedule": 60.0,
    },
    # Shares out what the machines cost: today again and again, and every day that changed. If it
    # stops, costs stay as they were, and the page says until when they are known.
    "allocate-due-days": {
        "task": "chargeback.allocate_due_days",
        "schedule": 120.0,
    },
    # A proposal asks for it at once; this one finds what that hint missed, and follows the traffic.
    # If it stops, the proposal's page says of which time the estimate is.
    "estimate-effects": {
        "task": "chargeback.estimate_effects",
        "schedule": 900.0,
    },
    # Looks whether AWS delivered a bill anew, which it does up to three times a day; only what
    # changed is read. If it stops, the reconciliation says how old the bill is, and a month that
    # needs its bill stays open.
    "read-bills": {
        "task": "chargeback.read_bills",
        "schedule": 300.0,
    },
    # A close asks for the PDFs of its statements at once; this one finds what that hint missed, and
    # tries again what waited for the archive. If it stops, statements have no PDF.
    "make-documents": {
        "task": "chargeback.make_documents",
        "schedule": 60.0,
    },
    # Whoever asks for an evidence pack has it made at once; this one finds what that hint missed,
    # and tries again what waited for a checkpoint, S3 or Git. If it stops, packs stay as they are.
    "make-due-evidence": {
        "task": "oversight.make_due_evidence",
        "schedule": 30.0,
    },
    # Sends the platform's own figures. If it stops, whoever watches them hears nothing, which is
    # what to raise an alarm on; its own time in the queue is one of them.
    "tell-figures": {
        "task": "oversight.tell_figures",
        "schedule": 60.0,
    },
    # Tells people that a budget reached a threshold, once. If it stops, they see it on the budget's
    # page only, and nobody is asked for a boost in time.
    "tell-budgets": {
        "task": "chargeback.tell_budgets",
        "schedule": 120.0,
    },
}
SCHEDULE = {
    name: {"options": {"expires": _lasts(entry["schedule"])}} | entry
    for name, entry in PERIODIC.items()
}
