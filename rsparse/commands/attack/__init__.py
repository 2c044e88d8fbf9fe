"""``rsparse attack``: a folder of images attacked, in batches, resumable."""
