"""Text for CSV files that people open in a spreadsheet."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula: names come from tokens and from callers."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
