"""The server's records: sessions, clients, governors, tasks, objects.

Records of waiting tasks are what the server's memory is made of, hence slots, shared ids and strings, and
`Object.consumers`, which is nothing, a task, or a dict of tasks. `rain.server.graph` says how they hang together.
"""
