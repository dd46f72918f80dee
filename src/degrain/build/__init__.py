"""The only place where a name in the params becomes an object, one module a kind."""
