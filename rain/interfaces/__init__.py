"""Doors for programs that know other libraries: `concurrent.futures`, joblib and Dask collections, run by Rain."""
