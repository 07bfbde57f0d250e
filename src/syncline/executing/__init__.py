"""Having jobs of bulk work done: by processes of this host, or by a Dask cluster."""
