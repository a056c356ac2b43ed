"""What carries messages: RabbitMQ, or an in-process stand-in of the same behaviour.

The only room that knows aio-pika's stack (aiormq, pamqp); assembly takes `AmqpBus` or `MemoryBus` from here.
"""

from kazoo_tasks.bus.amqp import AmqpBus
from kazoo_tasks.bus.memory import MemoryBroker, MemoryBus
from kazoo_tasks.bus.topology import RequestQueue

__all__ = ["AmqpBus", "MemoryBroker", "MemoryBus", "RequestQueue"]
