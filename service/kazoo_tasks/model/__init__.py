"""Values, transitions and errors; standard library only, no I/O, seen by every other room."""
