"""What a guardian consists of beside its decisions: its processes, its standby."""
