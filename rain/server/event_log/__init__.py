"""The event log: what happened, for users and scripts to query while the server runs and after."""
