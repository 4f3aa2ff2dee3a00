#!/bin/sh
# Makes every secret of a small cluster, once, in deploy/secrets: for deploy/compose.yaml and deploy/kustomization.yaml.
#
#   deploy/prepare.sh
#
# What is there already is kept. Keep a copy of deploy/secrets elsewhere: without master.key all authorization keys are lost,
# without server_private.pem no client connects.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
command -v openssl >/dev/null || { echo "openssl is missing: apt-get install openssl" >&2; exit 1; }
"$here/certificates.sh" "$here/secrets"
cd "$here/secrets"

[ -f master.key ] || echo "1 $(openssl rand -hex 32)" >master.key
# Clients know the public half, or its fingerprint: heliogram fingerprint deploy/secrets/server_public.pem
[ -f server_private.pem ] || openssl genrsa -traditional -out server_private.pem 2048 2>/dev/null
[ -f server_public.pem ] || openssl rsa -in server_private.pem -RSAPublicKey_out -out server_public.pem 2>/dev/null
[ -f admin.token ] || openssl rand -hex 32 >admin.token
[ -f mariadb.password ] || openssl rand -hex 24 | tr -d '\n' >mariadb.password
[ -f redis.password ] || openssl rand -hex 24 | tr -d '\n' >redis.password
[ -f mysql.url ] || echo "mysql://heliogram:$(cat mariadb.password)@mariadb:3306/heliogram" >mysql.url
[ -f redis.url ] || echo "redis://:$(cat redis.password)@redis:6379" >redis.url
[ -f redis.conf ] || printf 'requirepass %s\nsave ""\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n' \
    "$(cat redis.password)" >redis.conf
# Whose files these are: the containers that read them run as the same user.
echo "HELIOGRAM_USER=$(id -u):$(id -g)" >"$here/.env"
echo "secrets: $(pwd)"
