"""Builds everything and wires it; the only place where adapters meet."""
