"""`quartermaster`, and `python -m apps.cli`: runs a command and ends with its exit code."""

import sys
from collections.abc import Sequence

from apps.cli import exits
from apps.cli.commands import app
from apps.cli.output import complain


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code. What goes wrong is said on standard error, as JSON
    where --json was asked for.
    """
    as_json = "--json" in arguments
    try:
        app(args=list(arguments), prog_name="quartermaster")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(exits.Exit.DONE)
    except exits.Stop as error:
        complain(error, as_json=as_json)
        return int(error.exit)
    except OSError as error:
        unreadable = exits.BadUse(f"{error.filename}: {error.strerror}")
        complain(unreadable, as_json=as_json)
        return int(unreadable.exit)
    return int(exits.Exit.DONE)


def main() -> None:
    """Run what the command line says."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
