"""The server: holds the graph, and decides which task runs where."""
