"""``rsparse train``: images purified, a network retrained on them, a file written."""
