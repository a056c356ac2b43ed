"""The bench: how fast the real service is, beside the systems that others would take instead.

Touches processes, a private broker and .run/; run by `make bench`, never collected by pytest.
"""
