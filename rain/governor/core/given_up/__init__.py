"""A governor that its server has given up, or cannot reach, and that registers again: what stays, and what is told."""
