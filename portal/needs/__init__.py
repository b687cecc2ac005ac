"""What needs a person now, and what they wait for themselves: queries.py, over one module for the
rows of each app.
"""
