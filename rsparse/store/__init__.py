"""The artifact store: atomic files, records of origin, image folders, HDF5, resuming."""
