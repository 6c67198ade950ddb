"""HDF5 files that may come from anyone: nothing is read before its size and its place are known."""
