"""The client's decisions, pure: `rain.client.core.core.ClientCore`."""
