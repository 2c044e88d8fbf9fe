"""The evaluation of defenses: plan, scenarios, results, statistics and checks."""
