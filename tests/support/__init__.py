"""What the tests share: brokers, builders, probes.

Touches whatever the tests may touch; called by the tests alone.
"""
