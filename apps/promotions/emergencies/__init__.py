"""Break-glass: a version rolled forward without approvals in a stated emergency, and its review
after the fact.
"""
