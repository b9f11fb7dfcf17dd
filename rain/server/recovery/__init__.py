"""How a server comes back after its death: its inputs as records, and the machine that they drive in life and again.

`records` are what is written; `machine` is all between the conversations and the core, and takes nothing but records.
"""
