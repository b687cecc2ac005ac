"""The prompt record: what callers sent to models and got back, encrypted, for as long as somebody
decided; the only place in the product that holds such text.

    capture/   in the gate: seals and writes, before the call goes on where it must be kept
    rules/     what is kept of each data class and for how long, decided by two people
    storage/   from Postgres to S3, and away when its time is over
    holds/     what keeps a record beyond its time; two people lift it
    erasures/  a member's or a case's keys destroyed, with a receipt
    reading/   who may look, why, and who is told of it
"""
