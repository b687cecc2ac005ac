"""Changing a NodePool through review: what it says in Git, who asks for what, who decides, what
came of it.
"""
