"""Connections between Rain's processes: who may talk to whom, conversations that outlive connections, transfers."""
