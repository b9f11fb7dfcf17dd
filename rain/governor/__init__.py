"""The governor: owns the cpus of a host and the bytes of objects, and runs tasks in executors."""
