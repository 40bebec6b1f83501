"""Storage: LMDB, LevelDB and HDF5 read without their engines' side effects; knows nothing of layouts or rules."""
