"""The server's records: sessions, clients, governors, tasks, objects.

Most of the server's memory are records of waiting tasks, hence slots, shared ids and strings, and `Object.consumers`,
which is None, a task, or a dict of tasks. `rain.server.graph` says how records refer to each other.
"""
