"""Reports: all of a session in one file that needs neither server nor network, made without a browser."""
