"""The gate's process: when it takes calls, what it holds on to, and how it ends."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import grpc.aio
import httpx
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as pb_grpc

from apps.gateway.gate.transaction import Steps
from apps.integrations.envoy.server import Patience
from deploy.local.stack.ports import free_port
from tests.gateway.gate.passing import OpenGuard, OpenPurse, OpenRecord
from tests.integrations.envoy_talk import Judge, answer_body, answer_headers
from tests.integrations.envoy_talk import request_body as body
from tests.integrations.envoy_talk import request_headers as headers
from worker.processes import gate
from worker.processes.gate import Gate, Place

ROOT = Path(__file__).parents[2]


class Reading(OpenPurse):
    """Reads what people decided, unless it is told to fail."""

    def __init__(self) -> None:
        self.reads, self.fails = 0, False

    def load(self, now):
        self.reads += 1
        if self.fails:
            raise RuntimeError("the database is away")


class Rules(OpenGuard):
    """Counts how often it reads."""

    reads = 0

    def load(self, now):
        self.reads += 1


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(gate, "LOAD_SECONDS", 0.02)


@contextlib.asynccontextmanager
async def running(purse, judge=None, drain=5.0, guard=None):
    """A gate in this loop: its place, its own end, and the event that ends it."""
    place = Place(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", drain)
    ending = asyncio.Event()
    steps = Steps(purse, guard or OpenGuard(), OpenRecord())
    made = Gate(steps, lambda: judge or Judge(), Patience(1, 60))
    task = asyncio.create_task(made.run(place, ending))
    await asyncio.sleep(0.1)
    try:
        yield place, task, ending
    finally:
        ending.set()
        await asyncio.wait_for(task, 10)


async def health(place):
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{place.health}/healthz")
    return answer.status_code, answer.json()


async def call(place, upto=4):
    """Make a call's messages up to one; return the stream."""
    channel = grpc.aio.insecure_channel(place.listen)
    stream = pb_grpc.ExternalProcessorStub(channel).Process()
    for message in [headers(), body(b"{}"), answer_headers(), answer_body(b"[]")][:upto]:
        await stream.write(message)
        await stream.read()
    return channel, stream


async def eventually(check):
    for _ in range(200):
        if found := await check():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen in time")


class TestAGate:
    def test_takes_no_call_before_it_has_read_what_people_decided(self):
        async def scenario():
            purse = Reading()
            purse.fails = True
            async with running(purse) as (place, _, _):
                status, said = await health(place)
                assert (status, said["ready"], said["loaded_at"]) == (503, False, None)
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(place)
                purse.fails = False

                async def is_ready():
                    return (await health(place))[0] == 200

                await eventually(is_ready)
                channel, stream = await call(place)
                assert await stream.code() is grpc.StatusCode.OK
                await channel.close()

        asyncio.run(scenario())

    def test_holds_on_to_what_it_read_while_it_can_read_no_more(self):
        async def scenario():
            purse = Reading()
            async with running(purse) as (place, _, _):
                purse.fails, reads = True, purse.reads

                async def has_failed():
                    return purse.reads > reads + 1

                await eventually(has_failed)
                before = (await health(place))[1]["loaded_at"]
                await asyncio.sleep(0.1)
                status, said = await health(place)
                assert (status, said["loaded_at"], said["stale"]) == (200, before, False)
                channel, stream = await call(place)
                assert await stream.code() is grpc.StatusCode.OK
                await channel.close()

        asyncio.run(scenario())

    def test_lets_each_step_read_whatever_becomes_of_the_others(self):
        async def scenario():
            purse, rules = Reading(), Rules()
            purse.fails = True
            async with running(purse, guard=rules) as (place, _, ending):
                assert rules.reads > 1
                assert (await health(place))[0] == 503

        asyncio.run(scenario())

    def test_reads_a_last_time_before_it_ends(self, monkeypatch):
        """What the steps noted since goes into the database then."""
        monkeypatch.setattr(gate, "LOAD_SECONDS", 60)

        async def scenario():
            rules = Rules()
            async with running(Reading(), guard=rules) as (_, task, ending):
                assert rules.reads == 1
                ending.set()
                await asyncio.wait_for(task, 5)
                assert rules.reads == 2

        asyncio.run(scenario())

    def test_lets_a_call_under_way_end_and_takes_no_other(self):
        async def scenario():
            judge = Judge()
            async with running(Reading(), judge) as (place, task, ending):
                channel, stream = await call(place, upto=3)
                ending.set()

                async def is_leaving():
                    return (await health(place))[0] == 503

                await eventually(is_leaving)
                with pytest.raises(grpc.aio.AioRpcError):
                    other, _ = await call(place)
                assert not task.done()
                await stream.write(answer_body(b"[]"))
                await stream.read()
                assert await stream.code() is grpc.StatusCode.OK
                await channel.close()
                await asyncio.wait_for(task, 5)
                assert judge.closed == 1

        asyncio.run(scenario())

    def test_ends_what_does_not_end_in_time_with_an_error(self):
        async def scenario():
            judge = Judge()
            async with running(Reading(), judge, drain=0.1) as (place, task, ending):
                channel, stream = await call(place, upto=3)
                ending.set()
                await asyncio.wait_for(task, 5)
                assert await stream.code() is not grpc.StatusCode.OK
                await channel.close()
            assert judge.closed == 1

        asyncio.run(scenario())

    def test_ends_before_it_ever_took_a_call(self):
        async def scenario():
            purse = Reading()
            purse.fails = True
            async with running(purse) as (_, task, ending):
                ending.set()
                await asyncio.wait_for(task, 5)

        asyncio.run(scenario())


def script(text):
    """Run a few lines in a process of their own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestALoopThatStandsStill:
    def test_ends_the_process_and_says_where_it_stood(self):
        """Also where the interpreter itself is held, as by a pattern that never comes to its
        end.
        """
        stuck = script("""
            import asyncio, re
            import django
            django.setup()
            from worker.processes import gate
            gate.STALLED_SECONDS = 1

            async def main():
                beating = asyncio.create_task(gate._beat())
                await asyncio.sleep(0.1)
                re.match("(a+)+$", "a" * 40 + "my knee")

            asyncio.run(main())
        """)
        _, told = stuck.communicate(timeout=60)
        assert stuck.returncode == 1
        assert "Timeout" in told
        assert "in main" in told
        assert "knee" not in told


class TestManyCopies:
    def test_work_side_by_side_are_replaced_and_end_together(self):
        parent = script("""
            import os, signal, sys, time
            from worker.processes import many
            many.AGAIN_SECONDS = 0.05

            def work():
                ended = []
                signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
                os.write(1, f"here {os.getpid()}\\n".encode())  # in one piece
                while not ended:
                    time.sleep(0.01)
                os.write(1, f"gone {os.getpid()}\\n".encode())

            many.run(2, work)
        """)

        def came():
            word, pid = parent.stdout.readline().split()
            assert word == "here"
            return int(pid)

        first, second = came(), came()
        assert len({first, second, parent.pid}) == 3
        os.kill(first, signal.SIGKILL)
        third = came()
        parent.send_signal(signal.SIGTERM)
        told, _ = parent.communicate(timeout=20)
        assert parent.returncode == 0
        assert {int(line.split()[1]) for line in told.splitlines()} == {second, third}
        for pid in (first, second, third):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    def test_end_together_also_where_one_has_only_just_begun(self):
        """The wish comes before that copy can hear it as its own: it notes it, and does no work."""
        parent = script("""
            import os, signal, time
            from worker.processes import many

            fork = os.fork

            def told_at_once():
                child = fork()
                if child:
                    os.kill(os.getpid(), signal.SIGTERM)
                else:
                    time.sleep(0.5)
                return child

            def work():
                time.sleep(60)

            os.fork = told_at_once
            many.run(2, work)
        """)
        _, problem = parent.communicate(timeout=20)
        assert (parent.returncode, problem) == (0, "")

    def test_end_also_where_one_has_ended_by_itself_meanwhile(self):
        alone = script("""
            import os, signal, subprocess
            from worker.processes import many
            gone = subprocess.Popen(["true"])
            gone.wait()
            parent = many._Parent(2, lambda: None)
            parent._children = {gone.pid}
            parent._end(signal.SIGTERM, None)
            print(parent._is_ending)
        """)
        told, problem = alone.communicate(timeout=20)
        assert (told.strip(), problem) == ("True", "")

    def test_of_one_is_the_process_itself(self):
        alone = script("""
            import os
            from worker.processes import many
            parent = os.getpid()
            many.run(1, lambda: print(os.getpid() == parent))
        """)
        told, _ = alone.communicate(timeout=20)
        assert told.strip() == "True"
