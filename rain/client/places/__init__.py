"""Places on engines, as a client has them."""
