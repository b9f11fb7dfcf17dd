"""Families at a governor: consecutive members are one record, out of which a member is taken when it is looked at."""
