"""Render an evaluation as a page, tables and figures, from an ``Evaluation`` and arrays only."""
