#!/bin/sh
# need.sh PACKAGE...: makes sure that Debian packages are there. It installs
# what is missing where it may (root, apt), and else says what to install.
set -eu
missing=
for p in "$@"; do
	case $p in
	chromium)
		for b in chromium chromium-browser google-chrome; do
			if command -v $b >/dev/null 2>&1; then continue 2; fi
		done ;;
	nodejs) if command -v node >/dev/null 2>&1; then continue; fi ;;
	lld) if command -v wasm-ld >/dev/null 2>&1 || ls /usr/bin/wasm-ld-* >/dev/null 2>&1; then continue; fi ;;
	python3-doc) if [ -d /usr/share/doc/python3-doc/html ] || [ -d /usr/share/doc/python3/html ]; then continue; fi ;;
	*-doc | debian-faq | debian-policy | developers-reference)
		if dpkg -s "$p" >/dev/null 2>&1; then continue; fi ;;
	*) if command -v "$p" >/dev/null 2>&1 || [ -x "/usr/sbin/$p" ]; then continue; fi ;;
	esac
	missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing$missing" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || true
	# shellcheck disable=SC2086 # a list of names
	if apt-get install -y -qq --no-install-recommends $missing >/dev/null; then exit 0; fi
fi
echo "This needs$missing. On Debian or Ubuntu: sudo apt-get install$missing" >&2
exit 1
