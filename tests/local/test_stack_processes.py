"""What a stack started is found and ended, whatever it calls itself."""

import os
import subprocess
import sys

import psutil

from deploy.local.stack import processes

# Its child has an environment of its own, as vLLM's engine seems to have once it has written its
# title over it.
PARENT = """
import subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, env={}, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


class TestMarked:
    def test_finds_what_a_marked_process_started(self, tmp_path):
        env = {**os.environ, processes.MARK: str(tmp_path)}
        with subprocess.Popen(
            [sys.executable, "-S", "-c", PARENT], env=env, stdout=subprocess.PIPE, text=True
        ) as parent:
            assert parent.stdout
            child = int(parent.stdout.readline())
            found = processes.marked(tmp_path)
            assert {process.pid for process in found} == {parent.pid, child}
            processes.finish(found)
        assert (
            not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        )
