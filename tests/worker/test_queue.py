"""What a worker does with a queue that stood: a real worker on a broker in memory."""

import time

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from worker.celery import Hint, Sweep

ROWS, MESSAGES = 3, 400


@pytest.fixture
def queue(monkeypatch):
    """An application with a sweep and the task that it starts for each row; what they did."""
    app = Celery("queue", broker="memory://", task_cls=Hint, set_as_current=False)
    app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
    done = []

    @app.task(name="row", shared=False)
    def row(*, number):
        done.append(f"row {number}")

    @app.task(name="sweep", base=Sweep, shared=False)
    def sweep():
        done.append("sweep")
        for number in range(ROWS):
            row.delay(number=number)

    yield app, done
    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("celery")


def worked_off(app, done):
    """Let a worker do what waits, up to a last message of ours."""
    name = f"end {time.monotonic()}"

    @app.task(name=name, shared=False)
    def end():
        done.append("end")

    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        end.delay()
        until = time.monotonic() + 60
        while "end" not in done and time.monotonic() < until:
            time.sleep(0.02)
    done.remove("end")
    return done


def test_many_sweeps_that_waited_tell_of_each_row_once(queue):
    app, done = queue
    for _ in range(MESSAGES):
        app.tasks["sweep"].apply_async(expires=120)
    told = worked_off(app, done)
    # what the sweeps start comes behind them all
    told += worked_off(app, [])
    assert told.count("sweep") == 1
    assert sorted(each for each in told if each != "sweep") == ["row 0", "row 1", "row 2"]


def test_hints_that_waited_too_long_are_not_done(queue):
    app, done = queue
    row = app.tasks["row"]
    for number in range(MESSAGES):
        row.apply_async(kwargs={"number": number}, expires=0.2)
    time.sleep(0.4)
    row.delay(number=MESSAGES)
    assert worked_off(app, done) == [f"row {MESSAGES}"]


def test_a_sweep_goes_on_after_its_pause(queue, monkeypatch):
    app, done = queue
    sweep = app.tasks["sweep"]
    sweep.delay()
    assert "sweep" in worked_off(app, done)
    done.clear()
    monkeypatch.setattr(type(sweep), "pause", 0.0)
    sweep.delay()
    assert worked_off(app, done).count("sweep") == 1


def test_a_sweep_that_is_called_is_done(queue):
    app, done = queue
    app.tasks["row"].delay = lambda **_: None
    app.tasks["sweep"]()
    app.tasks["sweep"]()
    assert done == ["sweep", "sweep"]
