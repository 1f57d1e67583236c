#!/bin/sh
# Makes what docker-compose.yml needs and git must not hold: passwords in .env, and in deploy/secrets the users of the
# broker and a TLS certificate. Run again, it keeps what is there. Put your own certificate in place of tls.crt and tls.key.
set -eu
umask 077
cd "$(dirname "$0")/.."
host=${1:-localhost}

random() { openssl rand -hex 24; }

if [ ! -e .env ]; then
    cat >.env <<ENV
PUBLIC_URL=https://$host
POSTGRES_PASSWORD=$(random)
OWNER_PASSWORD=$(random)
SERVICE_PASSWORD=$(random)
BROKER_PASSWORD=$(random)
ENV
fi
mkdir -p deploy/secrets
if [ ! -e deploy/secrets/valkey.acl ]; then
    password=$(sed -n 's/^BROKER_PASSWORD=//p' .env)
    # The commands that the programs send, and no other; tests/integration/test_compose.py compares both ways.
    commands="+hello +ping +info +client|setinfo +brpop +lpush +rpush +rpop +llen +del"
    commands="$commands +sadd +smembers +hset +hget +hdel +zadd +zrem +zrange"
    commands="$commands +set +get +watch +unwatch +multi +exec +publish +subscribe"
    commands="$commands +evalsha +script|load +incrby +expire +ttl"
    hash=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d' ' -f1)
    cat >deploy/secrets/valkey.acl <<ACL
user default off
user health on >health resetkeys resetchannels -@all +ping
user gonogo on #$hash resetkeys ~gonogo:* resetchannels &gonogo:* -@all $commands
ACL
fi
if [ ! -e deploy/secrets/tls.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj "/CN=$host" \
        -addext "subjectAltName=DNS:$host" -keyout deploy/secrets/tls.key -out deploy/secrets/tls.crt 2>/dev/null
fi
# The containers' users read these files; on this host the folder keeps everyone else out.
chmod 0644 deploy/secrets/valkey.acl deploy/secrets/tls.crt deploy/secrets/tls.key
