"""What a client knows of its sessions, pure."""
