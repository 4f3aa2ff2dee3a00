#!/bin/sh
# Makes an authority and a certificate for each role of a cluster's processes, with openssl.
#
#   deploy/certificates.sh DIRECTORY
#
# DIRECTORY gets ca.pem, and NAME.pem and NAME.key for gateway, session and backend. What is there already is kept: run it
# again to make what is missing. Processes tell each other's roles by the names in the certificates, not by addresses, so
# one certificate serves all processes of a role. ca.key signs new ones: keep it apart from all of them.
set -eu
umask 077

[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is missing: apt-get install openssl" >&2; exit 1; }
mkdir -p "$1"
cd "$1"

authority_days=3650
role_days=365

if [ ! -f ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days $authority_days \
        -subj "/CN=heliogram authority" -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout ca.key -out ca.pem 2>openssl.log
fi

for role in gateway session backend; do
    [ ! -f $role.pem ] || continue
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 \
        -subj "/CN=heliogram $role" -keyout $role.key -out $role.csr 2>>openssl.log
    cat >$role.ext <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:$role.heliogram.internal
END
    openssl x509 -req -sha256 -days $role_days -in $role.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -extfile $role.ext -out $role.pem 2>>openssl.log
    rm $role.csr $role.ext
done
# Only the keys are secret.
chmod 644 ca.pem gateway.pem session.pem backend.pem
rm -f openssl.log ca.srl
echo "certificates: $(pwd)"
