"""Classifiers by name: timm's networks, the hub's weights, and their export to ONNX."""
