"""Manifests for Kubernetes: text only, nothing here talks to a cluster."""
