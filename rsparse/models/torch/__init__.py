"""ONNX classifiers in torch: gradients, and weights that can be trained."""
