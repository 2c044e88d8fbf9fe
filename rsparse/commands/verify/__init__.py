"""``rsparse verify``: whether artifacts are as they were written, and their records hold."""
