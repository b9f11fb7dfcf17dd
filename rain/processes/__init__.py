"""Rain's processes and what they leave on a host: guardian, launching, private folders, connection files, logs."""
