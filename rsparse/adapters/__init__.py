"""Purify within other libraries; each module needs its library.

``art``: the Adversarial Robustness Toolbox. ``foolbox``. ``secml``: SecML-Torch. ``maite``. Within
torch, torchvision and timm, use ``rsparse.torch``.
"""
