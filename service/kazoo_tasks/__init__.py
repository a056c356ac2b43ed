"""Run Python functions as background tasks for a Kazoo-style telecom platform.

What the author of a task module needs is exported here; everything else is the service itself.
"""

from kazoo_tasks.authoring import Context, Retry, Stopping, TimedOut, context, report_progress, task

__all__ = ["Context", "Retry", "Stopping", "TimedOut", "context", "report_progress", "task"]
