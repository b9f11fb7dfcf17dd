"""What pools leave on disk: records, for other processes of the user and for what comes after."""
