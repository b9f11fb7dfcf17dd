"""What governors leave on their host when they die, for the ones that are started in their places."""
