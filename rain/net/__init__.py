"""Connections between Rain's processes: keys and certificates, conversations that outlive connections, transfers."""
