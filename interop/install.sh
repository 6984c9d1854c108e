#!/bin/sh
# Installs what the interop tests talk to, where it is missing: tshark, Net::SMPP, node
# and, beside node/package-lock.json, node-smpp. It may run any number of times.
#
# Debian's packages need root; without it the missing ones are named.
set -eu
cd "$(dirname "$0")"

missing=
command -v tshark >/dev/null || missing="$missing tshark"
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
perl -MNet::SMPP -e 1 2>/dev/null || missing="$missing libnet-smpp-perl"
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "interop/install.sh: missing:$missing. As root: apt-get install$missing" >&2
		exit 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	# shellcheck disable=SC2086 # a word a package
	apt-get install -q -y --no-install-recommends $missing
fi

# npm ci begins anew each time: only where the lock is newer than what is there.
if ! [ node/node_modules/.package-lock.json -nt node/package-lock.json ]; then
	(cd node && npm ci --no-audit --no-fund)
	touch node/node_modules/.package-lock.json
fi
