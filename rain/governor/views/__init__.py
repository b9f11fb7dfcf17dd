"""Views of objects, which a governor has executors make for clients that look into data."""
