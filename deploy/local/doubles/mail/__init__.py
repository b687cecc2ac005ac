"""The local stack's mail server and inbox: takes every e-mail that the portal sends, delivers none,
and shows them on a page; it also takes what is posted to webhooks and says whether the signature
holds.

It can be told what to answer, as a mail server that is busy or refuses would.
"""
