"""The pool: child processes that run tasks, one each at a time.

Empty on purpose: children import this package, so anything imported here would be carried by each of them.
"""
