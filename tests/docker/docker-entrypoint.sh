#!/bin/sh
# What the official image of RabbitMQ does at its start, for the one that with-engine.sh makes of Debian's package.
# RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS are read by RabbitMQ itself.
set -eu
mkdir -p /var/lib/rabbitmq /var/log/rabbitmq
chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
echo '[rabbitmq_management].' >/etc/rabbitmq/enabled_plugins
# From another container guest is not at home; what stays in the container nobody reads but `docker logs`.
printf 'loopback_users = none\nlog.console = true\n' >/etc/rabbitmq/rabbitmq.conf
exec "$@"
