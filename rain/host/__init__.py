"""What a host offers and what becomes of processes on it: control groups, descriptors, processes, deaths."""
