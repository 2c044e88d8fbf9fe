"""Fetch classifiers by name: networks from timm, weights from the hub, export to ONNX."""
