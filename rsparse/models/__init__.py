"""ONNX classifiers: what they want as input, onnxruntime, the torch twin, the graph."""
