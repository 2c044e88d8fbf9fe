"""Everything that draws: contact sheets, charts, curves."""
