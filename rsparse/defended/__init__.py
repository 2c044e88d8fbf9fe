"""A defense before a classifier on a device.

``DefendedImages`` is a defense on a device: images in, clean images out. ``DefendedClassifier``
puts classifiers behind it: images in, a ``Verdict`` of each classifier out. Beside a device the
cores prepare images one by one, and the device finishes them in batches; on the CPU both halves
are done on one core.

>>> import numpy as np
>>> from rsparse.defended.images import DefendedImages
>>> from rsparse.defenses import Resources, parse_defense
>>> (defense,) = parse_defense("bit-depth:bits=1")
>>> (clean,) = DefendedImages(defense, Resources()).clean([np.full((2, 2, 3), 130, np.uint8)])
>>> clean[0, 0].tolist()
[255, 255, 255]
"""
