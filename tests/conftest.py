"""Load the fixtures that every room of the tests may ask for.

Touches nothing itself; read by pytest. What a fixture does is told where it is defined.
"""

pytest_plugins = ["support.broker"]
