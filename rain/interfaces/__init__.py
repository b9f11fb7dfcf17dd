"""The interfaces of other libraries to Rain: `concurrent.futures`, joblib and Dask collections."""
