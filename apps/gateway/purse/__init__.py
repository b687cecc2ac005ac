"""Budgets, exact: what a call may use at most is reserved before it goes on, in one transaction
over all budgets that it counts against, and released down to what it used at its end.

    terms.py   what people decided (budgets, boosts, grants, prices), in memory, seconds old
    bounds.py  the most that a call may use, and what a call used costs; pure
    turns.py   one turn of the database's function purse_turn: its parameters and its answer
    writer.py  a gate's one connection, and its turns: what came in during one goes into the next
    purse.py   the step of the gate
    upkeep.py  what a worker does: leases that ended, counters nobody needs any more
"""
