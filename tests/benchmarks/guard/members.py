"""Sentences with identifiers of members who do not exist, and sentences whose numbers are none."""

import random
from collections.abc import Iterator

from apps.gateway.guard.detectors.member_data import luhn
from tests.benchmarks.guard.labeled import Half, Labeled, Templates

LETTERS = "ACDEFGHJKMNPQRTUVWXY"
NAMES = ("Jordan Avery", "Sam Whitfield", "Dana Okafor", "Lee Marchetti", "Robin Castellanos")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice("0123456789") for _ in range(count))


def ssn(draw: random.Random) -> str:
    area = draw.choice([one for one in range(1, 900) if one != 666])
    parts = (f"{area:03d}", f"{draw.randint(1, 99):02d}", f"{draw.randint(1, 9999):04d}")
    return draw.choice(["-", "-", "-", " "]).join(parts)


def mbi(draw: random.Random) -> str:
    def one(kind: str) -> str:
        return draw.choice({"C": "123456789", "A": LETTERS, "N": "0123456789",
                            "E": LETTERS + "0123456789"}[kind])  # fmt: skip

    made = "".join(one(kind) for kind in "CAENAENAANN")
    return f"{made[:4]}-{made[4:7]}-{made[7:]}" if draw.random() < 0.5 else made


def npi(draw: random.Random) -> str:
    body = draw.choice("12") + digits(draw, 8)
    return next(body + last for last in "0123456789" if luhn(f"80840{body}{last}"))


def member_id(draw: random.Random) -> str:
    return draw.choice([
        f"MHP-{digits(draw, 7)}", f"{''.join(draw.choices(LETTERS, k=3))}{digits(draw, 9)}",
        f"H{digits(draw, 8)}-{digits(draw, 2)}", digits(draw, 10),
    ])  # fmt: skip


def claim_id(draw: random.Random) -> str:
    return draw.choice([f"CLM-2026-{digits(draw, 8)}", f"26{digits(draw, 11)}",
                        f"C{digits(draw, 9)}", f"PA-{digits(draw, 7)}"])  # fmt: skip


def mrn(draw: random.Random) -> str:
    return draw.choice([digits(draw, 8), f"MR{digits(draw, 6)}", digits(draw, 7)])


def date_of(draw: random.Random, years: tuple[int, int]) -> str:
    month, day, year = draw.randint(1, 12), draw.randint(1, 28), draw.randint(*years)
    return draw.choice([
        f"{month:02d}/{day:02d}/{year}", f"{month}/{day}/{year}", f"{year}-{month:02d}-{day:02d}",
        f"{MONTHS[month - 1]} {day}, {year}", f"{day} {MONTHS[month - 1]} {year}",
        f"{month:02d}-{day:02d}-{year}",
    ])  # fmt: skip


def dob(draw: random.Random) -> str:
    return date_of(draw, (1925, 2020))


def phone(draw: random.Random) -> str:
    area, middle, last = draw.randint(201, 699), draw.randint(201, 999), digits(draw, 4)
    if area % 100 == 11:
        area += 1
    return draw.choice([f"({area}) {middle}-{last}", f"{area}-{middle}-{last}",
                        f"{area}.{middle}.{last}", f"+1 {area} {middle} {last}"])  # fmt: skip


def email(draw: random.Random) -> str:
    first, last = draw.choice(NAMES).lower().split()
    host = draw.choice(["example.org", "mail.example.com", "post.example.net"])
    return draw.choice([f"{first}.{last}@{host}", f"{first[0]}{last}{digits(draw, 2)}@{host}"])


def card(draw: random.Random) -> str:
    body = draw.choice("45") + digits(draw, 14)
    made = next(body + last for last in "0123456789" if luhn(body + last))
    return " ".join(made[at : at + 4] for at in range(0, 16, 4))


VALUES = {
    "US_SSN": ssn, "US_MBI": mbi, "US_NPI": npi, "MEMBER_ID": member_id, "CLAIM_ID": claim_id,
    "MEDICAL_RECORD_NUMBER": mrn, "DATE_OF_BIRTH": dob, "PHONE_NUMBER": phone,
    "EMAIL_ADDRESS": email, "CREDIT_CARD": card,
}  # fmt: skip
SENTENCES = {
    "US_SSN": Templates(
        (
            "SSN: {}",
            "Social Security number {} on file.",
            "SS# {}",
            "Patient SSN is {}.",
            "The applicant's social is {}.",
            "{} (SSN)",
            "Soc Sec No. {} verified by phone.",
            "<ssn>{}</ssn>",
            "Tax ID / SSN\n{}",
            "social security # is {}",
            "Subject's SSN ending the form: {}",
            "| SSN | {} |",
            "Her Social: {} (per daughter)",
        ),
        (
            "SSN (last verified 2024): {}",
            "Soc. Sec. number {}",
            "ssn_number: {}",
            "Applicant's S.S.N. {}",
        ),
    ),
    "US_MBI": Templates(
        (
            "MBI: {}",
            "Medicare number {}",
            "Medicare beneficiary identifier {}",
            "Enrolled in Part B under {}.",
            "HICN replaced by {}",
            '"mbi": "{}"',
            "MBI\t{}",
            "Medicare ID {}",
            "beneficiary no {}",
            "<mbi>{}</mbi>",
        ),
        (
            "New Medicare card: {}",
            "MBI no {}",
            "Beneficiary ID (Medicare) {}",
        ),
    ),
    "US_NPI": Templates(
        (
            "NPI {}",
            "Rendering provider NPI: {}",
            "Referring physician ({}), NPI",
            "National Provider Identifier {}",
            "Ordering provider {} signed.",
            '"npi": "{}"',
            "Facility billing NPI no. {}",
            "Attending NPI#{}",
            "provider npi = {}",
            "Individual NPI is {}.",
        ),
        (
            "NPI-1 {}",
            "Prescriber NPI {}",
            "facility NPI {}",
        ),
    ),
    "MEMBER_ID": Templates(
        (
            "Member ID: {}",
            "Subscriber ID {}",
            "member number is {}",
            "Policy no. {}",
            "ID of the member: {}",
            "Insured's ID number {}",
            "member_id={}",
            "MEMBER #: {}",
            "Enrollee identifier\n{}",
            "The card shows subscriber number {}.",
            "Member no.: {}",
            "Your plan member ID, {}, is printed on the card.",
            "subscriberId: {}",
            "| Member ID | {} |",
            "Beneficiary id {} (primary)",
        ),
        (
            "Member identification number: {}",
            "Subscriber # {}",
            "memberNumber={}",
            "Plan ID card no. {}",
            "Insured ID {}",
        ),
    ),
    "CLAIM_ID": Templates(
        (
            "Claim number {}",
            "Claim ID: {}",
            "Authorization number {}",
            "prior auth # {}",
            "Re: claim {}",
            "claim_no={}",
            "The case number {} was pended.",
            "Claim control number: {}",
            "Auth# {}",
            "ICN {}",
            "claim {} was denied",
            "Claim Nbr: {}",
            "Claim reference {}",
            "| Claim | {} |",
            "authorization {} expires Friday",
        ),
        (
            "Claim# {}",
            "Case ID {}",
            "DCN {}",
            "authorization no. {}",
            "Reference number of the claim: {}",
        ),
    ),
    "MEDICAL_RECORD_NUMBER": Templates(
        (
            "MRN: {}",
            "Medical record number {}",
            "MRN {}",
            "mrn #{}",
            "Med rec no: {}",
            "Medical Record #: {}",
            "chart MRN={}",
            "MRN is {}",
            "(MRN {})",
            "Medical record no. {}",
            "| MRN | {} |",
        ),
        (
            "MRN={}",
            "Medical Rec# {}",
            "Chart number {}",
            "hospital MRN {}",
        ),
    ),
    "DATE_OF_BIRTH": Templates(
        (
            "DOB: {}",
            "Date of birth: {}",
            "born on {}",
            "D.O.B. {}",
            "Birthdate {}",
            "was born {} in Toledo",
            "{} (DOB)",
            '"birthDate": "{}"',
            "Pt DOB/Sex: {} F",
            "Birth date ....... {}",
            "Date of Birth | {}",
            "DOB - {}",
            "a patient born {}",
            "dateOfBirth: {}",
            "birthday on {}",
        ),
        (
            "DOB={}",
            "Born: {}",
            "date-of-birth {}",
            "Patient (born {})",
            "Birthday: {}",
        ),
    ),
    "PHONE_NUMBER": Templates(
        (
            "Phone: {}",
            "call {}",
            "cell {}",
            "Reach her at {}.",
            "Callback no. {}",
            "Tel {} after 5 pm",
            "{} is the daughter's number",
            "contact=({})",
            "Fax to {}",
            "Mobile {}",
            "leave a message at {}.",
            "home phone {}",
            "Ph: {}",
        ),
        (
            "T: {}",
            "Emergency contact {}",
            "text her on {}",
            "phone no. {}",
        ),
    ),
    "EMAIL_ADDRESS": Templates(
        (
            "E-mail: {}",
            "write to {}",
            "{} is her address",
            "<{}>",
            "mailto:{}",
            "Portal login {}",
            "cc {}; the plan",
            "Contact {} for records",
            "email={}",
            "Sent from {} on Monday",
        ),
        (
            "Email address: {}",
            "reply-to {}",
            "({})",
        ),
    ),
    "CREDIT_CARD": Templates(
        (
            "Card number {}",
            "paid with {}",
            "Visa {} exp 04/29",
            "card on file: {}",
            "CC {}",
            "MC {}",
            "billed to card {}",
            "payment card: {}",
        ),
        (
            "Amex or Visa {}",
            "card no {}",
            "Paid: {}",
        ),
    ),
}
AROUND = Templates(
    (
        "{}",
        "Request for an MRI of the lumbar spine. {} Please review.",
        "Intake note 4 of 9.\n{}\nSeen on 10/02/2026 for back pain.",
        "Cover sheet, page 1.\n\n{}\n\nOrdering clinic: Lakeside Ortho. Date of service "
        "11/05/2026.",
        "| field | value |\n|---|---|\n| a | {} |",
        "Discharge summary. {} Vitals: BP 128/82, HR 74, weight 182 lb.",
        "{}",
        "Letter of medical necessity dated 09/14/2026. {} Therapy ran from 06/01/2026 to "
        "07/15/2026.",
        "Faxed pages 2 of 11\n\n{}\n\nICD-10 G47.33, CPAP ordered 08/20/2026.",
        "Nurse line summary: {} Advised to hydrate; follow up in 2 days.",
    ),
    (
        "{}",
        "Transfer form. {} Admitted 10/11/2026, discharged 10/15/2026.",
        "Voicemail of 3:15 pm: {} End of message.",
        "{}; see page 3 of 8 for the plan of care dated 07/04/2026",
    ),
)
HARMLESS = Templates(
    (
        "Seen on 10/02/2026 for lower back pain, CPT 72148, ICD M54.50.",
        "Naproxen 500 mg twice daily for 14 days, refill 2 of 3.",
        "Call the plan at 1-800-555-0142 with questions.",
        "BP 128/82, HR 74, SpO2 97 %, weight 182 lb, height 70 in.",
        "Order 219456789 shipped on 2026-11-04.",
        "L4-L5 protrusion of 3 mm; NDC 0093-0147-01.",
        "Imaging on November 3, 2026 showed a 4.2 cm mass; follow up in 6 weeks.",
        "HCPCS E0601, quantity 1, 13 months rental from 2026-01-01 to 2027-01-31.",
        "Policy UM-114 section 3.2.1, effective 07/01/2026, replaces version 2.9.",
        "The lab reported 1,234,567 copies/mL on 05/06/2026 (reference under 50).",
        "Serial number 4433-2210-9981 of the pump, lot 20260114.",
        "Form CMS-1500 (02-12), boxes 21 and 24E; 4 units at $1,250.00.",
        "Ratio 100-20-3000 of the mixture; batch 77-1.",
        "Invoice 1002003004 was paid on 2026-10-30.",
        "The hotline 888-555-0100 is open from 8 to 6.",
        "Room 555-2, building 312, ZIP 60611-1234.",
        "The trial NCT01234567 enrolled 1,245 adults.",
        "Version 2026.11.27 of the criteria, DOI 10.1001/jama.2026.12345.",
        "PT 3 x week for 6 weeks, 97110 and 97140, from 06/01/2026.",
        "Glucose 142, A1c 7.9, eGFR 58, LDL 101 on 2026-09-12.",
        "Tracking 9400 1000 0000 0000 0000 00 delivered on 11/02/2026.",
        "Account closed on December 1, 2026; balance $0.00.",
        "Lot 445-12-88 of the implant, size 10 x 12 mm.",
        "Plan code 4412 covers 80 % after the deductible of $1,500.",
        "See 42 CFR 422.566(b)(1)-(5) and 45 CFR 164.514.",
        "Toll-free line: (866) 555-0177, TTY 711.",
        "The 2025-2026 formulary lists 3,118 drugs in 5 tiers.",
        "Revenue code 0450, DRG 470, length of stay 2.1 days.",
        "Ticket 20261127001 was opened at 14:03:20.",
        "Sample size n=1,204; p=0.0312; CI 1.02-1.37.",
    ),
    (
        "Weight 81.2 kg on 10/11/2026, 79.9 kg on 10/25/2026.",
        "CPT 27447, 29881; modifiers 59 and RT; 2 units.",
        "Docket 2026-CV-118842, hearing on January 14, 2027.",
        "Ring 1-877-555-0119, option 3, then 2.",
        "Bed 412-B, floor 4, unit 7 West.",
        "Study ID 100023, visit 4 of 6, dose 0.25 mg.",
        "Copay $40, deductible $2,000, out of pocket $6,500.",
        "ISBN 978-0-306-40615-7, page 214.",
        "Latitude 41.8781, longitude -87.6298.",
        "Lens power +21.5 D, axis 90, serial 2219-AB.",
        "Guideline MCG A-0045, 27th edition, 2026.",
        "The batch of 2026-11-01 holds 12,400 records.",
    ),
)


def texts(half: Half, draw: random.Random, each: int) -> Iterator[Labeled]:
    """Yield `each` texts of every kind, and harmless ones."""
    for entity, sentences in SENTENCES.items():
        for number in range(each):
            known = sentences.of(half)
            sentence = known[number % len(known)]
            around = draw.choice(AROUND.of(half))
            text = around.format(sentence.format(VALUES[entity](draw)))
            yield Labeled(text, "user", frozenset({entity}), sentence)
    for number in range(each * 2):
        known = HARMLESS.of(half)
        sentence = known[number % len(known)]
        text = draw.choice(AROUND.of(half)).format(sentence)
        yield Labeled(text, "user", frozenset(), sentence, hard=True)
