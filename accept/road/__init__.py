"""A new user's road: clone, install, train, evaluate, predict, import, by the documents and on real photographs."""
