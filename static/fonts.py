"""Writes the fonts that statements are set in to static/dist/fonts: whole ones, as the typesetter
reads them, with their license.

The pages' own fonts are cut into parts for browsers, and the typesetter takes one file for each
weight: a letter that is not in it would come from another font. Run by `make assets`.
"""

import shutil
from pathlib import Path

from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "node_modules" / "inter-ui"
TARGET = ROOT / "static" / "dist" / "fonts"
WEIGHTS = ("Regular", "SemiBold")


def main() -> None:
    """Write a font for each weight; the same source gives the same bytes."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for weight in WEIGHTS:
        name = f"Inter-{weight}"
        font = TTFont(SOURCE / "web" / f"{name}.woff2", recalcTimestamp=False)
        font.flavor = None
        part = TARGET / f"{name}.ttf.part"
        font.save(part)
        part.replace(TARGET / f"{name}.ttf")
    shutil.copyfile(SOURCE / "LICENSE.txt", TARGET / "LICENSE.txt")


if __name__ == "__main__":
    main()
