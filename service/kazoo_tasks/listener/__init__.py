"""The AMQP door: messages in, replies and events out."""
