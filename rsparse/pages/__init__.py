"""The parts that all HTML pages share: the base template, the style, tables and sliders."""
