"""``rsparse train``: purify images, retrain a classifier on them, and write it to a file."""
