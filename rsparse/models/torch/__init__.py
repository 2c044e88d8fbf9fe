"""Convert ONNX classifiers to torch for gradients and training."""
