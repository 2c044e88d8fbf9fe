"""Draw contact sheets, charts and curves."""
