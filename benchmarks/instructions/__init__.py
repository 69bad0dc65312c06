"""Instructions of the compiled core, counted by valgrind: a gate without noise. See ``__main__``."""
