"""Places in processes of other frameworks: Dask's workers, Ray's actors."""
