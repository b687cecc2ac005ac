"""What packets are about: requests with their diagnoses, what looks like them, and what a plan's
policy asks. Codes are real, the words beside them our own. Data only.

In a criterion `{n}` is a number: from `met` where the packet meets it, from `unmet` where not.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Coded:
    """A code with the words for it."""

    code: str
    words: str


@dataclass(frozen=True)
class Policy:
    """A criterion and how a packet speaks of it. met, unmet: bounds of the number."""

    text: str
    says: str
    met: tuple[int, int]
    unmet: tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A request. supplies: asked for beside it; alternative: named, and not asked for."""

    request: Coded
    diagnosis: Coded
    ruled_out: Coded
    ruled_out_by: str
    alternative: Coded
    criteria: tuple[Policy, Policy, Policy]
    supplies: tuple[Coded, ...] = ()


CASES = (
    Case(
        Coded("27447", "total replacement of the right knee"),
        Coded("M17.11", "primary osteoarthritis of the right knee"),
        Coded("M23.91", "internal derangement of the right knee"),
        "MRI",
        Coded("29881", "arthroscopy of the knee with meniscectomy"),
        (
            Policy(
                "At least 12 weeks of supervised physical therapy.",
                "Supervised physical therapy lasted {n} weeks.",
                (12, 26),
                (2, 9),
            ),
            Policy(
                "Body mass index of 40 or below.",
                "Body mass index at this visit is {n}.",
                (24, 39),
                (42, 49),
            ),
            Policy(
                "At least 2 steroid injections without lasting relief.",
                "Steroid injections into the knee without lasting relief: {n}.",
                (2, 4),
                (0, 1),
            ),
        ),
        (Coded("L1833", "adjustable knee orthosis"),),
    ),
    Case(
        Coded("72148", "MRI of the lumbar spine without contrast"),
        Coded("M54.16", "lumbar radiculopathy"),
        Coded("M48.061", "lumbar spinal stenosis"),
        "plain films",
        Coded("72158", "MRI of the lumbar spine with and without contrast"),
        (
            Policy(
                "At least 6 weeks of conservative treatment.",
                "Conservative treatment has gone on for {n} weeks.",
                (6, 20),
                (2, 4),
            ),
            Policy(
                "Weakness of grade 4 or less in a lumbar muscle group.",
                "Strength of the left foot on lifting is grade {n}.",
                (2, 4),
                (5, 5),
            ),
            Policy(
                "No lumbar MRI within the last 12 months.",
                "The last lumbar MRI was {n} months ago.",
                (13, 40),
                (2, 10),
            ),
        ),
    ),
    Case(
        Coded("E2103", "continuous glucose monitor"),
        Coded("E11.65", "type 2 diabetes with hyperglycemia"),
        Coded("E10.9", "type 1 diabetes"),
        "antibody testing",
        Coded("E0607", "home blood glucose monitor"),
        (
            Policy(
                "Insulin at least 3 times a day.",
                "Injections of insulin each day: {n}.",
                (3, 5),
                (1, 2),
            ),
            Policy(
                "A visit about diabetes within the last 6 months.",
                "The last visit about diabetes was {n} months ago.",
                (2, 6),
                (8, 14),
            ),
            Policy(
                "At least 2 episodes of low glucose within 3 months.",
                "Episodes of low glucose within 3 months: {n}.",
                (2, 9),
                (0, 1),
            ),
        ),
        (Coded("A4239", "monthly supplies for the monitor"),),
    ),
    Case(
        Coded("E0601", "continuous airway pressure device"),
        Coded("G47.33", "obstructive sleep apnea"),
        Coded("G47.31", "primary central sleep apnea"),
        "polysomnography",
        Coded("E0470", "bilevel airway pressure device"),
        (
            Policy(
                "Apnea-hypopnea index of 15 or more.",
                "The apnea-hypopnea index was {n} events an hour.",
                (15, 62),
                (6, 13),
            ),
            Policy(
                "A sleep study within the last 12 months.",
                "The sleep study was done {n} months ago.",
                (2, 12),
                (15, 30),
            ),
            Policy(
                "Sleepiness score of 10 or more.",
                "The sleepiness score is {n} points.",
                (10, 21),
                (3, 8),
            ),
        ),
        (Coded("A7030", "full face mask"),),
    ),
    Case(
        Coded("J1745", "infliximab infusion"),
        Coded("K50.90", "Crohn's disease without complications"),
        Coded("K51.90", "ulcerative colitis"),
        "biopsy",
        Coded("J3380", "vedolizumab infusion"),
        (
            Policy(
                "At least 12 weeks of an immunomodulator.",
                "The immunomodulator was taken for {n} weeks.",
                (12, 30),
                (3, 9),
            ),
            Policy(
                "Negative tuberculosis test within the last 12 months.",
                "The tuberculosis test {n} months ago showed no reaction.",
                (2, 12),
                (14, 30),
            ),
            Policy(
                "Activity index of 220 or more.",
                "The activity index of the bowel disease is {n}.",
                (220, 410),
                (90, 200),
            ),
        ),
        (Coded("96413", "first hour of infusion"),),
    ),
    Case(
        Coded("43775", "laparoscopic sleeve gastrectomy"),
        Coded("E66.01", "severe obesity due to excess calories"),
        Coded("E24.9", "Cushing's syndrome"),
        "cortisol testing",
        Coded("43644", "laparoscopic gastric bypass"),
        (
            Policy(
                "Body mass index of 40 or more.",
                "Body mass index at this visit is {n}.",
                (40, 54),
                (33, 38),
            ),
            Policy(
                "At least 6 months of a supervised diet.",
                "The supervised diet lasted {n} months.",
                (6, 14),
                (2, 4),
            ),
            Policy(
                "A psychological assessment within the last 12 months.",
                "The psychological assessment was completed {n} months ago.",
                (2, 12),
                (14, 24),
            ),
        ),
    ),
    Case(
        Coded("66984", "cataract surgery with lens implant, right eye"),
        Coded("H25.11", "age-related nuclear cataract of the right eye"),
        Coded("H40.1111", "primary open-angle glaucoma of the right eye"),
        "tonometry",
        Coded("66982", "complex cataract surgery"),
        (
            Policy(
                "Corrected acuity of 20/50 or worse.",
                "Corrected acuity of the right eye is 20/{n}.",
                (50, 200),
                (20, 40),
            ),
            Policy(
                "Glare testing lowers acuity by 2 lines or more.",
                "Lines of acuity lost in glare testing: {n}.",
                (2, 5),
                (0, 1),
            ),
            Policy(
                "An eye examination within the last 6 months.",
                "The eye examination was {n} months ago.",
                (2, 6),
                (8, 15),
            ),
        ),
    ),
    Case(
        Coded("E1390", "oxygen concentrator"),
        Coded("J44.9", "chronic obstructive pulmonary disease"),
        Coded("J84.10", "pulmonary fibrosis"),
        "computed tomography",
        Coded("E0431", "portable gaseous oxygen system"),
        (
            Policy(
                "Oxygen saturation of 88 % or below at rest.",
                "Oxygen saturation at rest on room air is {n} %.",
                (80, 88),
                (91, 96),
            ),
            Policy(
                "Tested within the last 30 days.",
                "The oxygen test was {n} days ago.",
                (2, 30),
                (35, 80),
            ),
            Policy(
                "No tobacco for at least 3 months.",
                "Months since tobacco was given up: {n}.",
                (3, 40),
                (0, 2),
            ),
        ),
    ),
    Case(
        Coded("29827", "arthroscopic repair of the rotator cuff"),
        Coded("M75.121", "complete rotator cuff tear of the right shoulder"),
        Coded("M75.01", "adhesive capsulitis of the right shoulder"),
        "examination under ultrasound",
        Coded("23412", "open repair of the rotator cuff"),
        (
            Policy(
                "At least 6 weeks of exercise therapy.",
                "Exercise therapy for the shoulder lasted {n} weeks.",
                (6, 18),
                (2, 4),
            ),
            Policy(
                "Pain of 5 or more on a scale to 10.",
                "Shoulder pain at night is {n} on a scale to 10.",
                (5, 9),
                (2, 4),
            ),
            Policy(
                "Imaging within the last 6 months.",
                "Imaging of the shoulder was {n} months ago.",
                (2, 6),
                (8, 20),
            ),
        ),
        (Coded("L3670", "shoulder orthosis"),),
    ),
    Case(
        Coded("78452", "nuclear stress imaging"),
        Coded("I25.119", "coronary disease with angina"),
        Coded("I21.4", "heart attack without ST elevation"),
        "troponin testing",
        Coded("93458", "left heart catheterization"),
        (
            Policy(
                "At least 2 episodes of chest pain within a month.",
                "Episodes of chest pain within a month: {n}.",
                (2, 11),
                (0, 1),
            ),
            Policy(
                "Exercise capacity below 5 metabolic equivalents.",
                "Exercise capacity is {n} metabolic equivalents.",
                (2, 4),
                (6, 11),
            ),
            Policy(
                "No stress test within the last 12 months.",
                "The last stress test was {n} months ago.",
                (13, 60),
                (2, 11),
            ),
        ),
    ),
    Case(
        Coded("J0585", "onabotulinumtoxin injection"),
        Coded("G43.709", "chronic migraine without aura"),
        Coded("G44.209", "tension-type headache"),
        "a headache diary",
        Coded("J3031", "fremanezumab injection"),
        (
            Policy(
                "Headache on 15 or more days a month.",
                "Headache comes on {n} days a month.",
                (15, 28),
                (5, 12),
            ),
            Policy(
                "At least 2 preventive medicines without effect.",
                "Preventive medicines without effect: {n}.",
                (2, 5),
                (0, 1),
            ),
            Policy(
                "Acute medicines on fewer than 10 days a month.",
                "Acute medicines are taken on {n} days a month.",
                (2, 9),
                (12, 25),
            ),
        ),
        (Coded("64615", "injection of the muscles of the head"),),
    ),
    Case(
        Coded("K0856", "power wheelchair with seating"),
        Coded("G12.21", "amyotrophic lateral sclerosis"),
        Coded("G61.0", "Guillain-Barre syndrome"),
        "nerve conduction studies",
        Coded("K0823", "standard power wheelchair"),
        (
            Policy(
                "Walks fewer than 10 meters.",
                "Walking ends after {n} meters.",
                (2, 9),
                (20, 90),
            ),
            Policy(
                "Grip strength of 8 kilograms or less.",
                "Grip strength is {n} kilograms.",
                (2, 8),
                (12, 25),
            ),
            Policy(
                "A mobility examination within the last 45 days.",
                "The mobility examination was {n} days ago.",
                (3, 45),
                (60, 120),
            ),
        ),
    ),
    Case(
        Coded("36475", "radiofrequency ablation of a leg vein"),
        Coded("I83.811", "varicose veins of the right leg with pain"),
        Coded("I82.401", "deep vein thrombosis of the right leg"),
        "duplex ultrasound",
        Coded("36471", "injection of leg veins"),
        (
            Policy(
                "At least 12 weeks of compression stockings.",
                "Compression stockings were worn for {n} weeks.",
                (12, 40),
                (2, 9),
            ),
            Policy(
                "Reflux of 500 milliseconds or more.",
                "Reflux in the vein lasts {n} milliseconds.",
                (500, 2400),
                (120, 450),
            ),
            Policy(
                "Vein of 5 millimeters or wider.",
                "The vein is {n} millimeters wide.",
                (5, 12),
                (2, 4),
            ),
        ),
    ),
    Case(
        Coded("63650", "trial of a spinal cord stimulator"),
        Coded("G89.4", "chronic pain syndrome"),
        Coded("M46.46", "infection of a lumbar disk"),
        "blood cultures",
        Coded("62323", "lumbar epidural injection"),
        (
            Policy(
                "Pain for at least 6 months.",
                "Back pain has gone on for {n} months.",
                (6, 70),
                (2, 5),
            ),
            Policy(
                "At least 3 other treatments without effect.",
                "Other treatments of the pain without effect: {n}.",
                (3, 7),
                (1, 2),
            ),
            Policy(
                "Opioids of 90 milligram equivalents a day or less.",
                "Opioids are at {n} milligram equivalents a day.",
                (5, 90),
                (110, 240),
            ),
        ),
    ),
)

COMORBIDITIES = (
    Coded("E11.9", "type 2 diabetes without complications"),
    Coded("I10", "essential hypertension"),
    Coded("E78.5", "hyperlipidemia"),
    Coded("J45.909", "asthma"),
    Coded("N18.31", "chronic kidney disease stage 3a"),
    Coded("K21.9", "reflux disease without esophagitis"),
    Coded("I48.91", "atrial fibrillation"),
    Coded("M81.0", "age-related osteoporosis"),
    Coded("E03.9", "hypothyroidism"),
    Coded("D50.9", "iron deficiency anemia"),
    Coded("F41.1", "generalized anxiety disorder"),
    Coded("F32.A", "depression"),
    Coded("L40.0", "plaque psoriasis"),
    Coded("N40.0", "enlarged prostate without symptoms"),
    Coded("E55.9", "vitamin D deficiency"),
    Coded("H91.90", "hearing loss"),
)

# What runs in a family, was never found, or is in a list that everybody gets.
ELSEWHERE = (
    Coded("C50.919", "breast cancer"),
    Coded("I63.9", "stroke"),
    Coded("G20.A1", "Parkinson's disease"),
    Coded("C18.9", "colon cancer"),
    Coded("I50.9", "heart failure"),
    Coded("M32.9", "lupus"),
    Coded("G35.D", "multiple sclerosis"),
    Coded("B18.2", "chronic hepatitis C"),
)
