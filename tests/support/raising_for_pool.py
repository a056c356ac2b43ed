"""A task module that cannot be imported, and not for want of a module.

Imported by children only; used by the tests of the pool.
"""

message = "expected a licence, got none"
raise RuntimeError(message)
