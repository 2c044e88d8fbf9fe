"""One module per command: read inputs, call the layers below, write one artifact.

Stages never import each other; they meet on disk.
"""
