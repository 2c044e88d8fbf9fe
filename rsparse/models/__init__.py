"""Classifiers: their input, ONNX files, torch twins and networks fetched by name."""
