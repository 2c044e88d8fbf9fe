"""Running work: processes, a cluster, a device; runs over many images; progress."""
