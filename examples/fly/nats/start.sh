# Tells NATS who this machine is. IPv6 addresses stand in brackets.
export NATS_NAME="$FLY_MACHINE_ID"
export NATS_ADVERTISE="[$FLY_PRIVATE_IP]"
exec nats-server --config /nats.conf --cluster "nats://[::]:6222" --cluster_advertise "$NATS_ADVERTISE:6222" --routes "nats://global.$FLY_APP_NAME.internal:6222"
