"""Families at a governor: consecutive members are one record until a member has to be treated alone."""
