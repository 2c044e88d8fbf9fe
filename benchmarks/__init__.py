"""Speed and memory compared with other programs."""
