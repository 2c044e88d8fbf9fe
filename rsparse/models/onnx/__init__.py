"""Read ONNX files, run them and inspect their graphs."""
