"""Folders of images and evaluations as a local page to browse."""
