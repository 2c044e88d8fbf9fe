"""Searches for images of 8 bits that fool a module: descents, squares, and the worst of several.

Every image that a search asks about has whole grey levels, so what it finds survives the rounding
to a file. The modules here import torch; those that define attacks import them on use.
"""
