"""The executor protocol cbor-1, which foreign executors speak."""
