"""``rsparse detect``: images and clean images in, which look attacked out."""
