"""Tell attacked images from clean ones, by scores that are calibrated on clean images.

A ``Score`` measures one sign of an attack: in the image alone, or in how a classifier's answer
changes when the image is cleaned. A ``Detector`` measures several on an image. Their tail
probabilities among the scores of clean images are combined into one p-value
(``rsparse.core.conformal``).

An attacker who knows the detector evades it: see ``rsparse.detection.evasion``.
"""
