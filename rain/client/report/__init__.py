"""What a client tells its user: failures, output of tasks, progress, pictures of the graph, what ran when."""
