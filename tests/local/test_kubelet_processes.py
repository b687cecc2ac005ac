import asyncio
import json
import os
import sys
from pathlib import Path

import psutil

from deploy.local.kubelet import processes

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def program(text: str) -> list[str]:
    return [sys.executable, "-u", "-c", text]


class TestStart:
    def test_keeps_output_and_exit_code(self, tmp_path: Path) -> None:
        text = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"

        async def story() -> int:
            return await processes.ended(
                processes.start(tmp_path, program(text), ENVIRONMENT, {"port": 1})
            )

        assert asyncio.run(story()) == 3
        lines = sorted(
            line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()
        )
        assert lines == ["stderr F two", "stdout F one"]
        assert processes.tail(tmp_path, lines=1) in ("one", "two")
        assert processes.find(tmp_path) is None

    def test_says_128_for_a_program_that_is_not_there(self, tmp_path: Path) -> None:
        async def story() -> int:
            return await processes.ended(
                processes.start(tmp_path, ["/no/such/program"], ENVIRONMENT, {})
            )

        assert asyncio.run(story()) == 128


class TestFind:
    def test_finds_the_process_again_by_its_folder(self, tmp_path: Path) -> None:
        async def story() -> None:
            started = processes.start(
                tmp_path, program("import time; time.sleep(60)"), ENVIRONMENT, {"port": 7}
            )
            found = processes.find(tmp_path)
            assert found is not None
            assert (found.container_id, found.facts["port"]) == (started.container_id, 7)
            assert await processes.stop(found, grace=5) == 143

        asyncio.run(story())

    def test_takes_no_other_process_for_it(self, tmp_path: Path) -> None:
        mine = psutil.Process()
        note = {"pid": mine.pid, "born": mine.create_time() - 100, "facts": {}}
        (tmp_path / "run.json").write_text(json.dumps(note))
        assert processes.find(tmp_path) is None


class TestStop:
    def test_kills_what_does_not_end_and_all_it_started(self, tmp_path: Path) -> None:
        text = (
            "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('up'); "
            "time.sleep(60)"
        )

        async def story() -> None:
            process = processes.start(tmp_path, program(text), ENVIRONMENT, {})
            while not processes.tail(tmp_path):
                await asyncio.sleep(0.02)
            family = psutil.Process(process.pid).children(recursive=True)
            assert len(family) == 2
            assert await processes.stop(process, grace=0.2) == 137
            _, alive = psutil.wait_procs(family, timeout=5)
            assert not alive

        asyncio.run(story())
