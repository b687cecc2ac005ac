"""Break-glass: a version rolled forward in a stated emergency, and its review
after the fact.
"""
