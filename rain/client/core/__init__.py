"""The client's decisions, without IO: `rain.client.core.core.ClientCore`."""
