"""Identifiers of members and of those who treat them, with presidio's names, so that a customer's
analyzer can take this one's place. Pure.

Names and street addresses are not among them: telling those takes a model that is not shipped.
"""

import re

from apps.gateway.guard.detectors.recognizers import Recognizer, Recognizers

THRESHOLD = 0.5
_LETTER = "[AC-HJKMNP-RT-Y]"  # the MBI's letters: none that looks like a digit
_EITHER = "[AC-HJKMNP-RT-Y0-9]"
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_NUMBER = r"(?:id(?: ?(?:no|number|#))?|no|num|number|identifier|nr|nbr|ref|reference)"
_LINK = r"[\s.:,#=_\"'*|>-]{0,12}(?:is\b|was\b)?[\s.:#=\"'*|>-]{0,4}"
_ID = r"([A-Za-z]{0,5}[- ]?[0-9][0-9A-Za-z-]{4,20})"
_TOLL_FREE = ("800", "833", "844", "855", "866", "877", "888")
_DIGITS = str.maketrans("", "", "()-. +/\t")


def digits_of(found: str) -> str:
    """Return the digits of a number as people write it."""
    return "".join(one for one in found if one.isdecimal())


def canonical(found: str) -> str:
    """Return an identifier in one form, however it is written, to tell whether two are the same."""
    return "".join(one for one in found.lower() if one.isalnum())


def luhn(digits: str) -> bool:
    """Tell whether the last digit fits the others by Luhn's rule."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_npi(found: str) -> bool:
    """Tell whether an NPI's check digit fits, which counts 80840 before it."""
    return luhn("80840" + digits_of(found))


def is_ssn(found: str) -> bool:
    """Tell whether a Social Security number lies in a range that is given out."""
    digits = digits_of(found)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_phone(found: str) -> bool:
    """Tell whether a number can be somebody's own: no toll-free one."""
    digits = digits_of(found)[-10:]
    return digits[:3] not in _TOLL_FREE and digits[1:3] != "11"


def is_date(found: str) -> bool:
    """Tell whether a numeric date can be a day: a month up to 12, a day up to 31."""
    parts = [int(part) for part in found.replace("/", "-").replace(".", "-").split("-")]
    if parts[0] > 31:
        parts = [*parts[1:], parts[0]]
    first, second, year = parts
    fits = 1 <= min(first, second) <= 12 and 1 <= max(first, second) <= 31
    return fits and (year < 100 or 1880 <= year <= 2100)


def is_day(found: str) -> bool:
    """Tell whether eight digits can be a day, the year first or last."""
    year, month, day = found[:4], found[4:6], found[6:]
    if not "1880" <= year <= "2100":
        month, day, year = found[:2], found[2:4], found[4:]
    return "1880" <= year <= "2100" and is_date(f"{month}-{day}-{year}")


def is_card(found: str) -> bool:
    """Tell whether a payment card's check digit fits."""
    digits = digits_of(found)
    return 13 <= len(digits) <= 19 and luhn(digits) and len(set(digits)) > 1


def is_mail(found: str) -> bool:
    """Tell whether it is an address, and not who signs in to a server: https://me@host.example."""
    return not found.startswith("://")


def has_digits(found: str) -> bool:
    """Tell whether an identifier has at least four digits."""
    return sum(one.isdecimal() for one in found) >= 4


def is_number_of_a_case(found: str) -> bool:
    """Tell whether what stands behind "claim" or "chart" alone, without "number", is its number: no
    date, no code of a procedure, no amount.
    """
    words = _BEFORE_DIGITS.match(found)
    prefix = words.group().strip() if words else ""
    is_named = prefix.isupper() or not words or not words.group().endswith(" ")
    enough = sum(one.isdecimal() for one in found) >= 6
    return enough and is_named and prefix.upper() not in _CODES and not _DATE.fullmatch(found)


_BEFORE_DIGITS = re.compile("[A-Za-z]+ ?")
_CODES = ("CPT", "DRG", "HCPCS", "ICD", "NDC", "POS", "REV")
_DATE = re.compile("[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}-(?:[0-9]{4}|[0-9]{2})")
_BORN = (
    r"\b(?:dob|d\. ?o\. ?b|date[_ -]?of[_ -]?birth|birth[_ -]?date|birthday|born|birth|dmg\*d8)\b"
)
_MEMBER = r"\b(?:member|subscriber|beneficiary|enrollee|insured|policy|plan|insurance|group|card)"
_CLAIM = r"\b(?:claim|authorization|auth|case|icn|dcn|eob|remit|adjudicat)"
_PHONE = r"\b(?:phone|tel|telephone|call|cell|mobile|fax|contact|text|reach|home|callback|dial)"
_SSN = r"\b(?:ssn|ssns|ss#|ss ?no|social security|social sec|soc sec|soc\. sec|tax ?id|taxpayer)"
_NPI = r"\b(?:npi|national provider|provider|rendering|billing|referring|prescriber|physician|pcp)"
_LABELED_MEMBER = (
    r"(?i)(?:(?:\b|_)(?:member|subscriber|beneficiary|enrollee|policy ?holder|policy|insured)"
    r"|(?-i:[a-z](?:Member|Subscriber|Beneficiary|Enrollee|Insured)))(?:'?s)?"
    rf"(?:[ _-]?{_NUMBER}\b|\s?#){_LINK}{_ID}"
)
_CLAIM_WORD = (
    r"(?i)(?:(?:\b|_)(?:claim|prior[ _-]?auth(?:orization)?|authorization|auth|case|icn|dcn)"
    r"|(?-i:[a-z](?:Claim|Auth|Authorization)))"
)
_LABELED_CLAIM = (
    rf"{_CLAIM_WORD}(?:[ _-]?(?:control[ _-]?)?(?:reference[ _-]?)?{_NUMBER}\b|\s?#){_LINK}{_ID}"
)
_NAMED_CLAIM = rf"{_CLAIM_WORD}(?:[ _-]?(?:control|reference))?(?::|\b){_LINK}{_ID}"
_RECORD_WORD = r"(?i)(?:\b|_)(?:med(?:ical)?[ ._-]{0,2}rec(?:ord)?s?|chart)"
KNOWN: tuple[Recognizer, ...] = (
    Recognizer("US_SSN", r"\b[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}\b", 0.55, 0.95, _SSN, check=is_ssn),
    Recognizer(
        "US_SSN",
        r"\b[0-9]{3} ?[- .] ?[0-9]{2} ?[- .] ?[0-9]{4}\b",
        0.1,
        0.85,
        _SSN,
        check=is_ssn,
    ),
    Recognizer("US_SSN", r"\b[0-9]{9}\b", 0.1, 0.85, _SSN, check=is_ssn),
    Recognizer(
        "US_SSN",
        r"(?i)(?:\b|_)ssn[#:=_]?([0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4})\b",
        0.85,
        group=1,
        check=is_ssn,
    ),
    Recognizer(
        "US_MBI",
        rf"(?i)\b[1-9]{_LETTER}{_EITHER}[0-9][- ]?{_LETTER}{_EITHER}[0-9][- ]?"
        rf"{_LETTER}{{2}}[0-9]{{2}}\b",
        0.85,
        0.95,
        r"\b(?:mbi|medicare|beneficiary)",
    ),
    Recognizer("US_NPI", r"\b[12][0-9]{9}\b", 0.45, 0.9, _NPI, check=is_npi),
    Recognizer("MEMBER_ID", _LABELED_MEMBER, 0.85, group=1, check=has_digits),
    Recognizer("MEMBER_ID", r"\b[A-Z]{2,4}[- ]?[0-9]{7,12}(?:-[0-9]{2})?\b", 0.3, 0.75, _MEMBER),
    Recognizer("CLAIM_ID", _LABELED_CLAIM, 0.8, group=1, check=has_digits),
    Recognizer("CLAIM_ID", _NAMED_CLAIM, 0.8, group=1, check=is_number_of_a_case),
    Recognizer("CLAIM_ID", r"\b(?:CLM|PA|ICN|DCN)-?[0-9][0-9-]{5,17}\b", 0.65, 0.85, _CLAIM),
    Recognizer(
        "MEDICAL_RECORD_NUMBER",
        rf"(?i)(?:{_RECORD_WORD}[ ._-]{{0,2}}{_NUMBER}"
        rf"|(?:\b|_|(?-i:[a-z]))mrn(?:[ ._-]{{0,2}}{_NUMBER})?)\b\s?{_LINK}{_ID}",
        0.85,
        group=1,
        check=has_digits,
    ),
    Recognizer(
        "MEDICAL_RECORD_NUMBER",
        rf"{_RECORD_WORD}\s?{_LINK}{_ID}",
        0.85,
        group=1,
        check=is_number_of_a_case,
    ),
    Recognizer(
        "DATE_OF_BIRTH",
        r"\b(?:[0-9]{1,2}[/.-][0-9]{1,2}[/.-](?:[0-9]{4}|[0-9]{2})"
        r"|[12][0-9]{3}[/.-][0-9]{1,2}[/.-][0-9]{1,2})\b",
        0.2,
        0.85,
        _BORN,
        check=is_date,
        only_nearest=True,
    ),
    Recognizer("DATE_OF_BIRTH", r"\b[0-9]{8}\b", 0.1, 0.85, _BORN, check=is_day, only_nearest=True),
    Recognizer(
        "DATE_OF_BIRTH",
        rf"(?i)\b(?:{_MONTH}[. ]{{1,2}}[0-9]{{1,2}}(?:st|nd|rd|th)?,? {{1,2}}[0-9]{{4}}"
        rf"|[0-9]{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}[., ]{{1,2}}[0-9]{{4}})\b",
        0.2,
        0.85,
        _BORN,
        only_nearest=True,
    ),
    Recognizer(
        "PHONE_NUMBER",
        r"(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4}\b",
        0.55,
        0.85,
        _PHONE,
        check=is_phone,
    ),
    Recognizer(
        "PHONE_NUMBER", r"\b[2-9][0-9]{2}[2-9][0-9]{6}\b", 0.1, 0.75, _PHONE, check=is_phone
    ),
    Recognizer(
        "PHONE_NUMBER", r"\+[2-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{2,4}\)?){2,5}\b", 0.5, 0.8, _PHONE
    ),
    Recognizer(
        "EMAIL_ADDRESS",
        r"(?:://(?:[^\s/@:]{0,64}:)?)?"
        r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}\b",
        0.9,
        check=is_mail,
    ),
    Recognizer(
        "CREDIT_CARD",
        r"\b[3-6][0-9]{3}[- ]?[0-9]{4,6}[- ]?[0-9]{4,5}(?:[- ]?[0-9]{1,4})?\b",
        0.7,
        0.9,
        r"\b(?:card|visa|mastercard|amex|discover|credit|debit|payment)",
        check=is_card,
    ),
)
KNOWN += tuple(  # segments of X12, in which claims, eligibility and authorizations travel
    Recognizer(entity, pattern, 0.9, group=1, check=check)
    for entity, pattern, check in (
        ("MEMBER_ID", r"\bNM1\*IL\*[^~\n]{0,110}\*MI\*([A-Za-z0-9-]{4,30})", has_digits),
        ("MEMBER_ID", r"\bREF\*0F\*([A-Za-z0-9-]{4,30})", has_digits),
        ("US_SSN", r"\bREF\*SY\*([0-9]{9})\b", is_ssn),
        ("MEDICAL_RECORD_NUMBER", r"\bREF\*EA\*([A-Za-z0-9-]{4,30})", has_digits),
        ("CLAIM_ID", r"\bREF\*(?:1K|G1|F8)\*([A-Za-z0-9-]{4,30})", has_digits),
        ("CLAIM_ID", r"\bCLM\*([A-Za-z0-9-]{4,38})\*", has_digits),
    )
)
ENTITIES = tuple(dict.fromkeys(one.entity for one in KNOWN))


def member_data(threshold: float = THRESHOLD) -> Recognizers:
    """Return the detector of identifiers. threshold: the least score of a hit, 0 to 1."""
    return Recognizers(KNOWN, threshold, signs="[0-9@]", tags=True)
