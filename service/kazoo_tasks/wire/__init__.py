"""Translations between bytes and values: the only room that knows JSON and Kazoo's spelling."""
