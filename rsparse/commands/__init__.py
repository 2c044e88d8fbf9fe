"""One module or folder per command: read inputs, call the layers below, write one artifact.

Commands do not import each other; they exchange artifacts on disk. Only ``demo``, ``evaluate`` and
``train`` run other commands.
"""
