"""How a server comes back after its death: its inputs are records, and applying them again makes the same server.

`records` are the inputs, which are written to a journal; `machine` is all between the conversations and the core, and
has no other input.
"""
