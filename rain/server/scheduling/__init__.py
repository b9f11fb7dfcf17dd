"""Which ready task goes to which governor: the protocol of a policy, what it sees, and the policy that Rain has."""
