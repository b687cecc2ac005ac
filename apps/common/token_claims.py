"""What a token's claims may hold: the same at the portal's door and at the gateway's. Pure.

The length is apart from the pattern: Envoy refuses an expression whose pattern counts.
"""

TEAM = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"  # it becomes a header value and a label
COST_CENTER = r"^[A-Za-z0-9][-A-Za-z0-9_.]*$"
LONGEST_COST_CENTER = 32
