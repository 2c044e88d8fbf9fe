"""Where work is done: processes, a cluster, a device; runs over many images; progress."""
