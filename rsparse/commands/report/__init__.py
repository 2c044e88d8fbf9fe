"""``rsparse report``: an evaluation in, a page, tables and figures out."""
