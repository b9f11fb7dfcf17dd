"""What pictures of a session share, wherever they are drawn."""
