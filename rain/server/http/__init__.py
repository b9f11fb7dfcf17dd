"""HTTP on the server."""
