"""The task modules that come with the service; each sees only the authors' API."""
