"""Attack a classifier behind a defense: the defended classifier as a module with gradients.

``module.DefendedModule`` computes what the product computes, and differentiates it by a choice of
``backwards``. Importing this package imports nothing; its modules need torch.
"""
