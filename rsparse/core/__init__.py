"""The mathematics: arrays in, arrays out; no paths, no printing, no randomness of its own."""
