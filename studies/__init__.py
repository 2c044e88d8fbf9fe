"""Studies on real classifiers: the plans that are judged, and the pages that tell of them."""
