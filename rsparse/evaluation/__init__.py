"""Judging defenses: the plan, the results, their statistics and the checklist."""
