"""The REST door: a client of the bus like any other, which holds no task and decides nothing about one."""
