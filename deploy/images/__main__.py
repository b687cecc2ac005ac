"""`python -m deploy.images portal loader --to FOLDER`: builds images and writes them as OCI
archives.
"""

import argparse
import sys
from pathlib import Path

from deploy.images.build import CONTAINERFILES, Builder, CannotBuild, missing

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Build what is asked for, and say its ids."""
    parser = argparse.ArgumentParser(prog="python -m deploy.images", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(CONTAINERFILES))
    parser.add_argument("--to", type=Path, required=True, help="folder of the archives")
    options = parser.parse_args(arguments)
    if problem := missing():
        print(problem, file=sys.stderr)
        return 2
    options.to.mkdir(parents=True, exist_ok=True)
    builder = Builder(ROOT, options.to / "work")
    try:
        for name in options.names:
            image = builder.build(name, base=builder.base(name))
            archive = options.to / f"quartermaster-{name}.tar"
            builder.save(image, archive)
            print(f"{name}: {image} in {archive}")
    except CannotBuild as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
