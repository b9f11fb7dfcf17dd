"""Tasks on several governors: the companions of the first one, and how it starts programs there."""
