"""``rsparse attack``: attack a folder of images in batches; an interrupted run can be resumed."""
