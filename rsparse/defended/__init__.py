"""A defense before a classifier on a device."""
