"""Governors on hosts that are reached by OpenSSH's `ssh`: started there, and kept in touch with."""
