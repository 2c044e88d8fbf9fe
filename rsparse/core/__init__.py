"""The mathematics: arrays in, arrays out; no paths, no printing, no random state of its own."""
