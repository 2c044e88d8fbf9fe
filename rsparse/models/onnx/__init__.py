"""ONNX files: reading them, running them, their graphs."""
