#!/bin/sh
# Makes the secrets of compose.yaml in the directory `secrets` beside this file: a password of the database, for the database
# and for the servers; the key that both servers sign and check tokens with; room for the workers' token. What exists is kept.
set -eu

image_user=10001 # of the Dockerfile

cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
[ -s database-password ] || openssl rand -hex 24 | tr -d '\n' >database-password
[ -s pgpass ] || printf 'postgres:5432:limpet:limpet:%s\n' "$(cat database-password)" >pgpass
[ -s signing-key ] || openssl genpkey -algorithm ed25519 -out signing-key
[ -e worker.env ] || : >worker.env

# Servers and workers refuse, or ignore, a secret that others may read, and they are not root.
if [ "$(id -u)" -eq 0 ]; then
    chown "$image_user:$image_user" pgpass signing-key worker.env
else
    echo "Not root: give pgpass, signing-key and worker.env in $PWD to user $image_user before you start the containers." >&2
fi
