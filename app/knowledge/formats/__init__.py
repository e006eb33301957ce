"""One file a format: each gives the articles of one file, and says in words what it could not read."""
