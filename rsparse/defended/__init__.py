"""A defense in front of a classifier on a device.

``DefendedImages`` runs a defense on a device: images in, clean images out. ``DefendedClassifier``
puts classifiers behind it: images in, a ``Verdict`` from each classifier out. With a device, the
CPU cores prepare images one by one and the device finishes them in batches. Without one, the cores
do both.

>>> import numpy as np
>>> from rsparse.defended.images import DefendedImages
>>> from rsparse.defenses import Resources, parse_defense
>>> (defense,) = parse_defense("bit-depth:bits=1")
>>> (clean,) = DefendedImages(defense, Resources()).clean([np.full((2, 2, 3), 130, np.uint8)])
>>> clean[0, 0].tolist()
[255, 255, 255]
"""
