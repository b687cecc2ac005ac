"""Serves a model folder with this machine's engine: `python -m deploy.local.engine --model DIR
--port P …flags…`.
"""

from __future__ import annotations

import os
import sys

from deploy.local.engine.launcher import (
    NoEngine,
    choose_engine,
    engine_command,
    engine_environment,
    read_cpu_flags,
)


def main(arguments: list[str]) -> int:
    """Become the engine: the process keeps its id, so signals reach it. Returns only where there is
    none to start.
    """
    try:
        engine = choose_engine(os.environ)
    except NoEngine as error:
        print(error, file=sys.stderr)
        return 1
    command = engine_command(engine, arguments, read_cpu_flags())
    print(f"engine: {engine.name}", flush=True)
    os.execvpe(command[0], command, {**os.environ, **engine_environment(engine)})  # noqa: S606  a list, no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
