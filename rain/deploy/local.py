"""The launcher for one machine, which clients use too."""

from rain.client.local import LocalCluster as LocalCluster
