"""An evaluation as a page, as tables and as figures: only an ``Evaluation`` and arrays come in."""
