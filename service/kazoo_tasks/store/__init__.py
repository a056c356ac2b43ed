"""The journal: what makes changes durable; the only room that knows SQLite."""
