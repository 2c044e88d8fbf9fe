"""``rsparse certify``: images, a classifier and a denoiser in, certified radii out."""
