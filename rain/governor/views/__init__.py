"""What a governor has executors say of objects, for those who look into them."""
